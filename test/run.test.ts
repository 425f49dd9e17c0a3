import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { simulatedModels } from '../simulator/models.ts';
import { type Simulation, startSimulation } from '../simulator/provider.ts';
import { type Ended, ended, runKeyforge, spawnKeyforge } from './cli.ts';
import { eventually } from './harness.ts';
import { poolManifest } from './manifests.ts';

const credential = 'sk-sim-run-CANARY0123456789';
const environment = {
  KEYFORGE_SECRET_OPENAI_MAIN: credential,
  MY_COPY: `token=${credential}`,
  KEPT: 'yes',
  ANTHROPIC_AUTH_TOKEN: 'oat-of-a-person',
};

/** What CMD starts with: a call, in as few words as possible. */
const prelude = `
const call = (max_tokens = 50, more = {}) => fetch(process.env.OPENAI_BASE_URL + '/chat/completions', {
  method: 'POST',
  headers: { authorization: 'Bearer ' + process.env.OPENAI_API_KEY, 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'gpt-5.4-mini', max_tokens, messages: [{ role: 'user', content: 'Hello run' }], ...more }),
});
const print = (value) => console.log(JSON.stringify(value));
`;

let provider: Simulation;
let root: string;
let policy: string;
let pool: string;
let temporary: string;

before(async () => {
  provider = await startSimulation({ credentials: [credential] });
  root = await mkdtemp(join(tmpdir(), 'keyforge-run-test-'));
  policy = join(root, 'agent.policy.yaml');
  pool = join(root, 'pool.yaml');
  temporary = join(root, 'tmp');
  await mkdir(temporary);
  const models = simulatedModels.filter((model) => model.family === 'openai');
  await writeFile(pool, poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url, models }));
});
after(async () => {
  await provider.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  provider.clearRules();
  await writeFile(policy, 'models: {deny: ["gpt-5.4"]}\nlimits: [{window: Total, usd: "0.01"}]\n');
});

function run(args: readonly string[], command: readonly string[]): Promise<Ended> {
  return runKeyforge(['run', '-f', policy, '-f', pool, ...args, '--', ...command], { ...environment, TMPDIR: temporary });
}

/** Runs JavaScript as CMD; what it printed, parsed. */
async function inside<T>(code: string, args: readonly string[] = []): Promise<{ readonly value: T; readonly end: Ended }> {
  const end = await run(args, [process.execPath, '--input-type=module', '-e', prelude + code]);
  assert.equal(end.code, 0, end.stderr);
  return { value: JSON.parse(end.stdout.trim().split('\n').at(-1) ?? 'null') as T, end };
}

test('CMD calls with a key of its own, and a summary follows on stderr', async () => {
  const { value, end } = await inside<{ status: number; key: string }>(
    `const r = await call(); await call(50, { model: 'gpt-5.4' }); print({ status: r.status, key: process.env.OPENAI_API_KEY });`,
  );
  assert.equal(value.status, 200);
  assert.match(value.key, /^vk_/);
  assert.match(
    end.stderr,
    /keyforge: 2 calls, \$0\.\d+\n {2}gpt-5\.4-mini: 1 call, \d+ tokens in, \d+ out, \$0\.\d+\n {2}not ok: model_denied 1/,
  );
  const again = await inside<string>(`print(process.env.OPENAI_API_KEY)`);
  assert.notEqual(again.value, value.key, 'another run, another key');
});

test('CMD sees no credential: not in its environment, not in that of KeyForge, which is its parent', async () => {
  const { value } = await inside<{ own: Record<string, string>; parent: string; command: string }>(`
    import { readFileSync } from 'node:fs';
    print({
      own: process.env,
      parent: readFileSync('/proc/' + process.ppid + '/environ', 'utf8'),
      command: readFileSync('/proc/' + process.ppid + '/cmdline', 'utf8'),
    });`);
  assert.doesNotMatch(JSON.stringify(value), /CANARY|oat-of-a-person/);
  assert.match(value.command, /keyforge\.ts.*run/s);
  assert.equal(value.own['KEPT'], 'yes');
  for (const name of ['MY_COPY', 'ANTHROPIC_AUTH_TOKEN', 'KEYFORGE_SECRET_OPENAI_MAIN', 'KEYFORGE_RUN_HANDOVER'])
    assert.equal(value.own[name], undefined, name);
  assert.match(value.own['NO_PROXY'] ?? '', /127\.0\.0\.1/);
  assert.equal(value.own['ANTHROPIC_BASE_URL'], value.own['GOOGLE_GEMINI_BASE_URL']);
});

test('the credentials were handed over in a file that is gone before CMD starts', async () => {
  const { value } = await inside<readonly string[]>(`
    import { readdirSync } from 'node:fs';
    print(readdirSync('/dev/shm').filter((name) => name.startsWith('keyforge-run-')));`);
  assert.deepEqual(value, []);
});

test('the data folder is closed to others, holds no credential, and is gone at the end', async () => {
  const { value } = await inside<{ modes: Record<string, number>; found: readonly string[] }>(`
    import { readdirSync, readFileSync, statSync } from 'node:fs';
    const folder = process.env.TMPDIR + '/' + readdirSync(process.env.TMPDIR).find((name) => name.startsWith('keyforge-run-'));
    const paths = [folder, ...readdirSync(folder, { recursive: true }).map((name) => folder + '/' + name)];
    const files = paths.filter((path) => statSync(path).isFile());
    print({
      modes: Object.fromEntries(paths.map((path) => [path, statSync(path).mode & 0o077])),
      found: files.filter((path) => readFileSync(path).includes('CANARY')),
    });`);
  assert.equal(Object.values(value.modes)[0], 0);
  assert.ok(Object.keys(value.modes).length > 4, 'the folder was looked at');
  assert.deepEqual(value.found, []);
  assert.deepEqual(readdirSync(temporary), []);
});

test('there is no admin or metrics port: KeyForge listens on one address of loopback', async () => {
  const { value } = await inside<readonly string[]>(`
    import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
    const mine = new Set(readdirSync('/proc/' + process.ppid + '/fd').map((fd) => { try { return readlinkSync('/proc/' + process.ppid + '/fd/' + fd); } catch { return ''; } }));
    const rows = ['tcp', 'tcp6'].flatMap((name) => readFileSync('/proc/net/' + name, 'utf8').trim().split('\\n').slice(1)).map((row) => row.trim().split(/\\s+/));
    print(rows.filter((row) => row[3] === '0A' && mine.has('socket:[' + row[9] + ']')).map((row) => row[1]));`);
  assert.equal(value.length, 1, value.join());
  assert.match(value[0] ?? '', /^0100007F:/);
});

test('an edited policy has no effect while CMD runs, and the budget of the file holds', async () => {
  const { value } = await inside<readonly [string | null, number]>(`
    import { writeFileSync } from 'node:fs';
    writeFileSync(${JSON.stringify(policy)}, 'limits: [{window: Total, usd: "100.00"}]\\n');
    await new Promise((resolve) => setTimeout(resolve, 900));
    print([(await call(5000)).headers.get('x-keyforge-warnings'), (await call(50, { model: 'gpt-5.4' })).status]);`);
  assert.match(String(value[0]), /^output limit lowered from 5000 to/);
  assert.equal(value[1], 403);
});

test('nothing carries over: each run has the whole budget', async () => {
  const spend = `let ok = 0; for (let i = 0; i < 60; i += 1) { const r = await call(400); await r.text(); if (!r.ok) break; ok += 1; } print(ok);`;
  const first = await inside<number>(spend, ['--usd', '0.005']);
  const second = await inside<number>(spend, ['--usd', '0.005']);
  assert.ok(first.value > 0 && first.value < 60, String(first.value));
  assert.equal(second.value, first.value);
  assert.match(second.end.stderr, /not ok: (budget_exhausted|request_too_expensive) 1/);
});

test('the end of --ttl ends the key and a call in flight', async () => {
  provider.rule({ conditions: { msPerToken: 200 } });
  const { value } = await inside<{ text: string; after: number }>(
    `const r = await call(100, { stream: true }); const text = await r.text(); print({ text, after: (await call()).status });`,
    ['--ttl', '2s'],
  );
  assert.match(value.text, /key_expired/);
  assert.doesNotMatch(value.text, /\[DONE\]/);
  assert.equal(value.after, 401);
});

test('the exit code is CMD’s own; 126, 127 and 125 tell what went wrong before', async () => {
  assert.equal((await run([], ['sh', '-c', 'exit 7'])).code, 7);
  assert.equal((await run([], ['sh', '-c', 'kill -TERM $$'])).code, 143);
  assert.equal((await run([], ['no-such-program-anywhere'])).code, 127);
  assert.equal((await run([], [policy])).code, 126);
  assert.equal((await run(['--usd', 'lots'], ['true'])).code, 125);
  await writeFile(policy, 'limits: [{window: Dya, usd: "0.01"}]\n');
  const bad = await run([], ['true']);
  assert.equal(bad.code, 125);
  assert.match(bad.stderr, /agent\.policy\.yaml:1: limits\[0\]\.window: .*Dya/);
});

test('signals are passed on to CMD', async () => {
  const marker = join(root, 'ready');
  const script = `trap 'exit 9' TERM; touch ${marker}; while true; do sleep 0.05; done`;
  const child = spawnKeyforge(['run', '-f', policy, '-f', pool, '--', 'sh', '-c', script], { ...environment, TMPDIR: temporary });
  const end = ended(child);
  await eventually(() => (existsSync(marker) ? true : undefined), 'CMD to start');
  child.kill('SIGTERM');
  assert.equal((await end).code, 9);
});

test('--keep-data leaves evidence that verifies', async () => {
  const { end } = await inside(`await (await call()).text(); print(1);`, ['--keep-data']);
  const data = /audit tail --data (\S+)/.exec(end.stderr)?.[1] ?? '';
  assert.equal((await runKeyforge(['audit', 'verify', '--data', data])).code, 0);
  await rm(join(data, '..'), { recursive: true });
});
