import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runKeys } from './admin/keys.ts';
import { runPrices } from './admin/prices.ts';
import { captureStreams } from './streams.fixture.ts';

const canary = 'sk-canary-0123456789abcdef';
const entry = join(import.meta.dirname, 'keyforge.ts');
let dir = '';

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'keyforge-up-'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

const pool = `
kind: ProviderPool
apiVersion: keyforge.dev/v1alpha1
metadata: {name: openai, namespace: platform}
spec:
  provider: OpenAI
  keys: [{name: a, secretRef: {name: openai, key: a}}]
  consumers: [{namespaceSelector: {}}]
`;
const key = (name: string, usd: string) => `---
kind: VirtualKey
apiVersion: keyforge.dev/v1alpha1
metadata: {name: ${name}, namespace: agents}
spec: {pools: [{name: openai, namespace: platform}], limits: [{window: Day, usd: "${usd}"}]}
`;

interface Ready {
  readonly ready: true;
  readonly proxy: string;
  readonly admin: string;
  readonly metrics: string;
  readonly keys: readonly { readonly namespace: string; readonly name: string; readonly key: string }[];
}

function spawnUp(environment: Readonly<Record<string, string>> = { KEYFORGE_SECRET_OPENAI_A: canary }): ChildProcessWithoutNullStreams {
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
  const args = [entry, 'up', '-f', join(dir, 'm.yaml'), '--data', join(dir, 'data'), '--json', ...ports];
  return spawn(process.execPath, args, { env: { PATH: process.env['PATH'], ...environment } });
}

async function readyOf(child: ChildProcessWithoutNullStreams): Promise<Ready> {
  const [line] = await once(createInterface(child.stdout), 'line');
  return JSON.parse(line as string) as Ready;
}

async function ended(child: ChildProcessWithoutNullStreams): Promise<{ readonly code: number; readonly stderr: string }> {
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code: code as number, stderr };
}

async function keys(...args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = captureStreams();
  return { code: await runKeys([...args, '--data', join(dir, 'data')], io), ...io.printed };
}

async function statusOf(ready: Ready, token: string): Promise<number> {
  const response = await fetch(`${ready.proxy}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
  await response.arrayBuffer();
  return response.status;
}

/** Milliseconds until the check holds; fails after twenty seconds. */
async function until(check: () => Promise<boolean>): Promise<number> {
  const started = performance.now();
  while (!(await check())) {
    assert.ok(performance.now() - started < 20_000, 'not within twenty seconds');
    await sleep(20);
  }
  return performance.now() - started;
}

test('up serves its manifests, follows edits, and obeys keys', async () => {
  const manifest = join(dir, 'm.yaml');
  writeFileSync(manifest, pool + key('bot', '5.00') + key('other', '1.00'));
  const child = spawnUp();
  const end = ended(child);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const ready = await readyOf(child);
  assert.deepEqual(Object.keys(ready), ['ready', 'proxy', 'admin', 'metrics', 'keys']);
  assert.deepEqual(
    ready.keys.map(({ namespace, name }) => `${namespace}/${name}`),
    ['agents/bot', 'agents/other'],
  );
  const token = ready.keys[0]?.key ?? '';
  assert.equal(await statusOf(ready, token), 200);
  assert.equal((await fetch(`${ready.metrics}/readyz`)).status, 200);

  // Everything below the data folder is its owner's alone.
  const modeOf = (path: string) => statSync(join(dir, 'data', path)).mode & 0o777;
  assert.deepEqual(['', 'tokens'].map(modeOf), [0o700, 0o700]);
  assert.deepEqual(['root.key', 'admin.token', 'keyforge.db', 'tokens/agents/bot'].map(modeOf), [0o600, 0o600, 0o600, 0o600]);

  // A second one on the same folder is turned away, before it touches anything, even where somebody deleted the lock.
  const adminToken = readFileSync(join(dir, 'data', 'admin.token'), 'utf8');
  for (const isLost of [false, true, true]) {
    if (isLost) rmSync(join(dir, 'data', 'lock'));
    const second = await ended(spawnUp());
    assert.deepEqual([second.code, second.stderr.split('\n').length], [1, 2], second.stderr);
    assert.match(second.stderr, /in use by another KeyForge: stop it/);
  }
  assert.equal(readFileSync(join(dir, 'data', 'admin.token'), 'utf8'), adminToken);
  assert.equal((await keys('list')).code, 0);

  // An edit, one with a mistake, a deletion.
  writeFileSync(manifest, pool + key('bot', '7.00') + key('other', '1.00'));
  await until(async () => (await keys('list')).out.includes('$7.00'));
  writeFileSync(manifest, `${pool + key('bot', '9.00')}---\nkind: Nonsense\n`);
  await until(async () => said.includes('Nonsense'));
  assert.match((await keys('list')).out, /agents\/bot +active .*\$7\.00/);
  const other = ready.keys[1]?.key ?? '';
  assert.equal(await statusOf(ready, other), 200);
  writeFileSync(manifest, pool + key('bot', '7.00'));
  // A busy machine is given more than the second that users are promised.
  assert.ok((await until(async () => (await statusOf(ready, other)) === 401)) < 5_000);

  // Prices, rotation and revocation through the admin API.
  const io = captureStreams();
  assert.deepEqual([await runPrices(['list', '--data', join(dir, 'data')], io), io.printed.out], [0, 'no price waits\n']);
  assert.deepEqual((await keys('revoke', 'agents/other')).code, 1);
  const rotated = await keys('rotate', 'agents/bot', '--overlap', '1h');
  assert.match(rotated.out, /new token vk_….{4}, in .*tokens\/agents\/bot; the one before it works until/);
  const renewed = readFileSync(join(dir, 'data', 'tokens', 'agents', 'bot'), 'utf8').trim();
  assert.deepEqual([await statusOf(ready, token), await statusOf(ready, renewed)], [200, 200]);
  assert.equal((await keys('revoke', 'agents/bot')).code, 0);
  assert.deepEqual([await statusOf(ready, token), await statusOf(ready, renewed)], [401, 401]);
  await keys('rotate', 'agents/bot');

  child.kill('SIGTERM');
  const { code, stderr } = await end;
  assert.equal(code, 0);
  assert.match(stderr, /Nonsense/);
  assert.ok(!stderr.includes(canary));
  const gone = await keys('list');
  assert.deepEqual([gone.code, gone.out], [1, '']);
  assert.match(gone.err, /no KeyForge runs on/);
});

test('tokens stay the same over restarts', async () => {
  const held = readFileSync(join(dir, 'data', 'tokens', 'agents', 'bot'), 'utf8').trim();
  const child = spawnUp();
  const end = ended(child);
  const ready = await readyOf(child);
  assert.deepEqual(ready.keys, [{ namespace: 'agents', name: 'bot', key: held }]);
  assert.equal(await statusOf(ready, held), 200);
  child.kill('SIGINT');
  assert.equal((await end).code, 0);
});

test('what is wrong with the manifests is reported all at once, and nothing starts', async () => {
  writeFileSync(
    join(dir, 'm.yaml'),
    `${pool + key('bot', '5,00')}---\nkind: VirtualKey\nmetadata: {name: x, namespace: y}\nspec: {colour: red}\n`,
  );
  const { code, stderr } = await ended(spawnUp({}));
  assert.equal(code, 1);
  for (const part of [/m\.yaml:\d+: .*5,00/, /colour/, /KEYFORGE_SECRET_OPENAI_A/]) assert.match(stderr, part);
});

test('an address that is taken is reported with the flag to change', async () => {
  writeFileSync(join(dir, 'm.yaml'), pool + key('bot', '5.00'));
  const server = createServer().listen(0, '127.0.0.1');
  server.unref();
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  for (const flag of ['--listen', '--admin-listen']) {
    const args = [
      entry,
      'up',
      '-f',
      join(dir, 'm.yaml'),
      '--data',
      join(dir, 'data'),
      '--listen',
      '127.0.0.1:0',
      '--admin-listen',
      '127.0.0.1:0',
    ];
    const child = spawn(process.execPath, [...args, '--metrics-listen', '127.0.0.1:0', flag, `127.0.0.1:${port}`], {
      env: { PATH: process.env['PATH'], KEYFORGE_SECRET_OPENAI_A: canary },
    });
    const { code, stderr } = await ended(child);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port} is in use: choose another`), flag);
  }
  server.close();
});

test('usage mistakes exit with 2', async () => {
  for (const args of [[], ['fly'], ['up', '--wings'], ['keys', 'fly']]) {
    const { code } = await ended(spawn(process.execPath, [entry, ...args], { env: {} }));
    assert.equal(code, 2, args.join(' '));
  }
});
