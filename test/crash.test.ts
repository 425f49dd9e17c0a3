import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { EpochRecoveredBody } from '../core/audit/types.ts';
import { readCalls } from '../operator/store/recorded-calls.ts';
import { simulatedModels } from '../simulator/models.ts';
import { type Simulation, startSimulation } from '../simulator/provider.ts';
import { runKeyforge, startUp, type Up } from './cli.ts';
import { credentialValue, eventually } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

const credential = credentialValue('openai');
const environment = { KEYFORGE_SECRET_OPENAI_MAIN: credential };
const ask = { model: 'gpt-5.4-mini', max_tokens: 100, stream: true, messages: [{ role: 'user', content: 'Hello crash' }] };

let provider: Simulation;
let root: string;
let manifests: string;
let dataDir: string;

before(async () => {
  provider = await startSimulation({ credentials: [credential] });
  root = await mkdtemp(join(tmpdir(), 'keyforge-crash-'));
});
after(async () => {
  await provider.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  provider.clearRules();
  const folder = await mkdtemp(join(root, 'case-'));
  manifests = await mkdtemp(join(folder, 'manifests-'));
  dataDir = join(folder, 'data');
  const models = simulatedModels.filter((model) => model.family === 'openai');
  await writeFile(join(manifests, 'pool.yaml'), poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url, models }));
  const pools = [{ name: 'openai', namespace: 'keyforge-system' }];
  await writeFile(join(manifests, 'bot.yaml'), keyManifest('bot', { pools, limits: [{ window: 'Day', usd: '0.01' }] }));
});

function post(up: Up): Promise<Response> {
  return fetch(`${up.proxyUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${up.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(ask),
  });
}

interface SelfView {
  readonly remainingUsd: string;
  readonly limits: readonly { readonly spentUsd: string; readonly heldUsd: string }[];
}

async function self(up: Up): Promise<SelfView> {
  const response = await fetch(`${up.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${up.token}` } });
  return (await response.json()) as SelfView;
}

/** Dollars that the ledger says are spent, in nano-USD. */
function spentNano(view: SelfView): number {
  return Math.round(Number(view.limits[0]?.spentUsd) * 1e9);
}

/** Starts again after a crash and checks what must hold whenever it came. */
async function recover(billedBefore: bigint): Promise<void> {
  const up = await startUp(manifests, dataDir, environment);
  try {
    const billed = Number((provider.bill().totalPico - billedBefore + 999n) / 1000n);
    const view = await eventually(async () => {
      const each = await self(up);
      return spentNano(each) >= billed ? each : undefined;
    }, `spend of at least ${billed} nano-USD`);
    assert.ok(spentNano(view) < 2_000_000, `a crash costs no more than the bounds of its calls: ${spentNano(view)}`);
    const response = await post(up);
    assert.match(await response.text(), /\[DONE\]/);
    const after = await self(up);
    assert.ok(Number(after.limits[0]?.heldUsd) + Number(after.limits[0]?.spentUsd) <= 0.01);
  } finally {
    await up.kill('SIGTERM');
  }
  const verified = await runKeyforge(['audit', 'verify', '--data', dataDir]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
}

test('killed while a call waits for the provider: it is charged at its bound', async () => {
  const billed = provider.bill().totalPico;
  const up = await startUp(manifests, dataDir, environment);
  provider.rule({ times: 1, fault: { kind: 'hang_before_headers' } });
  const calls = provider.calls().length;
  const call = post(up).catch(() => undefined);
  await eventually(() => (provider.calls().length > calls ? true : undefined), 'the call to reach the provider');
  await up.kill('SIGKILL');
  await call;
  await recover(billed);
  const recovered = await bodies('epoch_recovered');
  assert.equal((recovered[0] as EpochRecoveredBody | undefined)?.charges.length, 1);
});

test('what a crash left open is listed, given back on order, and the books still agree', async () => {
  const first = await startUp(manifests, dataDir, environment);
  provider.rule({ times: 1, fault: { kind: 'hang_before_headers' } });
  const calls = provider.calls().length;
  const call = post(first).catch(() => undefined);
  await eventually(() => (provider.calls().length > calls ? true : undefined), 'the call to reach the provider');
  await first.kill('SIGKILL');
  await call;
  const up = await startUp(manifests, dataDir, environment);
  const charged = await eventually(async () => {
    const nano = spentNano(await self(up));
    return nano > 0 ? nano : undefined;
  }, 'the charge of the open call');
  const credit = (...args: readonly string[]) => runKeyforge(['keys', 'credit', 'agents/bot', '--data', dataDir, ...args]);
  const listed = await credit('--dry-run');
  assert.match(listed.stdout, /call, open at a crash/);
  const given = await credit('--reason', 'the provider did not answer');
  assert.equal(given.code, 0, given.stderr);
  for (const { stdout } of [listed, given]) for (const canary of [credential, up.token, 'Hello crash']) assert.ok(!stdout.includes(canary));
  assert.match(given.stdout, new RegExp(`\\$${charged / 1e9} given back to agents/bot; \\$0\\.00 more`));
  assert.equal(spentNano(await self(up)), 0);
  await up.kill('SIGTERM');
  const verified = await runKeyforge(['audit', 'verify', '--data', dataDir]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
});

test('killed in the middle of a stream: it is charged at its bound', async () => {
  const billed = provider.bill().totalPico;
  const up = await startUp(manifests, dataDir, environment);
  provider.rule({ times: 1, conditions: { msPerToken: 100 } });
  const response = await post(up);
  await response.body?.getReader().read();
  await up.kill('SIGKILL');
  await recover(billed);
});

test('killed right after the answer: its record is there', async () => {
  const billed = provider.bill().totalPico;
  const up = await startUp(manifests, dataDir, environment);
  await (await post(up)).text();
  await up.kill('SIGKILL');
  await recover(billed);
  assert.equal(readCalls(dataDir).length, 2);
});

test('killed before any call: nothing is charged', async () => {
  const billed = provider.bill().totalPico;
  const up = await startUp(manifests, dataDir, environment);
  await self(up);
  await up.kill('SIGKILL');
  await recover(billed);
});

test('SIGTERM lets calls in flight finish, and ends with 0', async () => {
  const up = await startUp(manifests, dataDir, environment);
  provider.rule({ times: 1, conditions: { msPerToken: 20 } });
  const response = await post(up);
  const end = up.kill('SIGTERM');
  assert.match(await response.text(), /\[DONE\]/);
  const finished = performance.now();
  const { code, stderr } = await end;
  assert.ok(performance.now() - finished < 15_000, `${performance.now() - finished} ms after its last call it ended`);
  assert.equal(code, 0, stderr);
  assert.equal(readCalls(dataDir).length, 1);
});

test('tokens are the same after a restart', async () => {
  const up = await startUp(manifests, dataDir, environment);
  await up.kill('SIGTERM');
  const again = await startUp(manifests, dataDir, environment);
  await again.kill('SIGTERM');
  assert.equal(again.token, up.token);
});

async function bodies(type: string): Promise<readonly unknown[]> {
  const tail = await runKeyforge(['audit', 'tail', '--data', dataDir, '--json']);
  return tail.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly type: string })
    .filter((body) => body.type === type);
}
