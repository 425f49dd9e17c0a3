import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createWorld } from '../operator/evidence/evidence.fixture.ts';
import { loadRootKey } from '../operator/store/root-key.ts';
import { childEnvironment, entry, spawnKeyforge } from './cli.ts';
import { eventually } from './harness.ts';

/** So much of everything that a command prints far more than the 64 KiB that a pipe holds. */
const count = 3000;
const home = mkdtempSync(join(tmpdir(), 'keyforge-pipes-'));
const at = (name: string): string => join(home, name);
const canary = { KEYFORGE_SECRET_OPENAI_A: 'sk-pipes-0123456789' };
let admin: Server;

const pool = `
kind: ProviderPool
apiVersion: keyforge.dev/v1alpha1
metadata: {name: openai, namespace: platform}
spec:
  provider: OpenAI
  keys: [{name: a, secretRef: {name: openai, key: a}}]
  consumers: [{namespaceSelector: {}}]
`;
const key = (name: string, usd = '5.00'): string => `---
kind: VirtualKey
apiVersion: keyforge.dev/v1alpha1
metadata: {name: ${name}, namespace: agents}
spec: {pools: [{name: openai, namespace: platform}], limits: [{window: Day, usd: "${usd}"}]}
`;

/** Reads 4 KiB at a time with a pause after each, and prints all of it at the end. */
const slowReader = `
const { readSync, writeSync } = require('node:fs');
const all = [];
for (const piece = Buffer.alloc(4096); ; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)) {
  const size = readSync(0, piece);
  if (size === 0) break;
  all.push(Buffer.from(piece.subarray(0, size)));
}
for (let rest = Buffer.concat(all); rest.length > 0; ) rest = rest.subarray(writeSync(1, rest));
`;
const slowly = `'${process.execPath}' '${at('slow.cjs')}'`;

before(async () => {
  recordCalls(at('intact'));
  recordCalls(at('broken'));
  const db = new DatabaseSync(at('broken/keyforge.db'));
  // Each entry in an epoch that was never opened: a problem each.
  db.exec('UPDATE entries SET epoch = seq + 2, seq = 0');
  db.close();
  writeFileSync(at('m.yaml'), pool + Array.from({ length: 3 }, (_, n) => key(`bot-${n}`)).join(''));
  writeFileSync(at('mistakes.yaml'), pool + Array.from({ length: count }, (_, n) => key(`bot-${n}`, '5,00')).join(''));
  writeFileSync(at('policy.yaml'), pool + key('bot'));
  writeFileSync(at('slow.cjs'), slowReader);
  admin = createServer(answerAsDesk).listen(0, '127.0.0.1');
  await once(admin, 'listening');
  for (const token of ['desk', 'odd']) {
    mkdirSync(at(token));
    writeFileSync(at(`${token}/admin.token`), token);
    writeFileSync(at(`${token}/admin.url`), `http://127.0.0.1:${(admin.address() as AddressInfo).port}`);
  }
});
after(() => {
  admin.close();
  rmSync(home, { recursive: true, force: true });
});

/** A data folder with so many calls: over a megabyte as JSON. */
function recordCalls(dataDir: string): void {
  mkdirSync(dataDir);
  const world = createWorld(join(dataDir, 'keyforge.db'), loadRootKey(join(dataDir, 'root.key'), randomBytes));
  const writer = world.writer();
  world.ship([writer.open(), ...Array.from({ length: count }, () => writer.call())]);
  world.store.close();
}

/** The admin API of a KeyForge with very many keys; to the token `odd` it answers what it never should. */
function answerAsDesk({ url, headers }: IncomingMessage, response: ServerResponse): void {
  const listing = (n: number): object => ({ namespace: 'agents', name: `bot-${n}`, state: 'active', spentUsd: '0', limits: [] });
  const keys = headers.authorization === 'Bearer odd' ? undefined : Array.from({ length: count }, (_, n) => listing(n));
  response.end(JSON.stringify(url === '/v1/keys' ? { keys } : { hint: 'vk_…abcd' }));
}

interface Piped {
  /** Exit code of KeyForge, not of the reader. */
  readonly code: number;
  /** What the reader made of the stream in the pipe. */
  readonly read: string;
  /** KeyForge's other stream. */
  readonly other: string;
}

/** `keyforge ARGS | READER`, by a shell: a real pipe. */
async function piped(args: readonly string[], reader: string, stream: 'stdout' | 'stderr' = 'stdout'): Promise<Piped> {
  const redirect = stream === 'stdout' ? '2>&4' : '2>&1 >&4';
  const script = `{ "$@" ${redirect}; echo $? >&3; } 4>&4 | ${reader}`;
  const child = spawn('/bin/sh', ['-c', script, 'sh', process.execPath, entry, ...args], {
    env: childEnvironment(canary),
    stdio: ['ignore', 'pipe', 'ignore', 'pipe', 'pipe'],
  });
  const [read = '', code = '', other = ''] = await Promise.all(
    [child.stdio[1], child.stdio[3], child.stdio[4]].map((each) => text(each as NodeJS.ReadableStream)),
  );
  return { code: Number(code), read, other };
}

function lines(printed: string): number {
  return printed.split('\n').length - 1;
}

const mistakes = Array.from({ length: count }, (_, n) => `--mistake-${n}`);
const print = `for (let n = 0; n < ${count}; n += 1) console.log(String(n).padEnd(300, '.'))`;

/** Each command that prints to stdout and ends, with its exit code and how many lines it prints. */
const printing: readonly (readonly [command: string, args: readonly string[], code: number, lines: number])[] = [
  ['audit tail --json', ['audit', 'tail', '--data', at('intact'), '--json'], 0, count + 1],
  ['audit tail', ['audit', 'tail', '--data', at('intact')], 0, count + 1],
  ['audit verify', ['audit', 'verify', '--data', at('broken')], 1, count + 3],
  ['keys list', ['keys', 'list', '--data', at('desk')], 0, count + 1],
  ['keys rotate', ['keys', 'rotate', 'agents/bot', '--data', at('desk')], 0, 1],
  ['keys revoke', ['keys', 'revoke', 'agents/bot', '--data', at('desk')], 0, 1],
  ['run', ['run', '-f', at('policy.yaml'), '--', process.execPath, '-e', print], 0, count],
  ['--version', ['--version'], 0, 1],
  ['--help', ['--help'], 0, 13],
];

/** Likewise on stderr; so many lines at least. */
const complaining: typeof printing = [
  ['up with mistakes', ['up', '-f', at('mistakes.yaml'), '--data', at('never')], 1, count],
  ['run with mistakes', ['run', '-f', at('mistakes.yaml'), '--', 'true'], 125, count],
  ...['up', 'audit', 'keys', 'operator', 'proxy'].map((name) => [`${name} with unknown flags`, [name, ...mistakes], 2, count] as const),
];

describe('through a slow pipe, nothing that a command prints is lost', () => {
  for (const [command, args, code, expected] of printing) {
    test(command, async () => {
      const { read, other, ...end } = await piped(args, slowly);
      assert.deepEqual({ ...end, lines: lines(read) }, { code, lines: expected }, other.slice(-2000));
    });
  }
  for (const [command, args, code, atLeast] of complaining) {
    test(`${command}, on stderr`, async () => {
      const { read, ...end } = await piped(args, slowly, 'stderr');
      assert.equal(end.code, code);
      assert.ok(lines(read) >= atLeast, `${lines(read)} lines`);
    });
  }
});

describe('a reader that leaves early is no failure', () => {
  // CMD of `run` fails of itself: it has the pipe, not KeyForge.
  for (const [command, args, code] of printing.filter(([name]) => name !== 'run')) {
    test(`${command} | head -1`, async () => {
      const { read, ...end } = await piped(args, 'head -1');
      assert.deepEqual({ ...end, lines: lines(read) }, { code, other: '', lines: 1 });
    });
  }
  for (const [command, args, code] of complaining) {
    test(`${command} 2>&1 | head -1`, async () => {
      const { read, ...end } = await piped(args, 'head -1', 'stderr');
      assert.deepEqual({ ...end, lines: lines(read) }, { code, other: '', lines: 1 });
    });
  }

  test('`run` has the exit code of its CMD, whoever reads the summary', async () => {
    const args = ['run', '-f', at('policy.yaml'), '--', process.execPath, '-e', 'process.exitCode = 7'];
    assert.deepEqual(await piped(args, 'true', 'stderr'), { code: 7, read: '', other: '' });
  });

  test('`up` serves on when its readers have left, and stops in order', async () => {
    const listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
    const child = spawnKeyforge(['up', '-f', at('m.yaml'), '--data', at('data'), ...listen], canary);
    const ended = once(child, 'exit');
    const [welcome] = await once(child.stdout ?? child, 'data');
    const url = /proxy +(\S+)/.exec(String(welcome))?.[1];
    child.stdout?.destroy();
    child.stderr?.destroy();
    // What is printed of this edit has no reader; the key that it adds is served.
    writeFileSync(at('m.yaml'), pool + key('bot-0') + key('late'));
    const token = await eventually(() => existing(at('data/tokens/agents/late')), 'the token of the new key');
    writeFileSync(at('m.yaml'), `${pool}---\nkind: Nonsense\n`);
    for (let round = 0; round < 5; round += 1) {
      const { status } = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
      assert.equal(status, 200);
      await pause(200);
    }
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });
});

function existing(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

test('a crash is printed whole, with exit code 1', async () => {
  const { read, ...end } = await piped(['keys', 'list', '--data', at('odd')], slowly, 'stderr');
  assert.deepEqual(end, { code: 1, other: '' });
  assert.match(read, /^keyforge: internal error [-0-9a-f]{36}\nTypeError: /);
});
