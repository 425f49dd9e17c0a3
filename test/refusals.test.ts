import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { countedRefusals, readRecords } from '../operator/store/recorded-calls.ts';
import { startSimulation } from '../simulator/provider.ts';
import { runKeyforge, startUp } from './cli.ts';
import { credentialValue, eventually, recordedCodes, startWorld, untilEarlyInMinute } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

const ask = JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: 1_000, messages: [{ role: 'user', content: 'Hello refusals' }] });
const penniless = keyManifest('bot', { limits: [{ window: 'Day', usd: '0.000001' }] });
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

/** Sends the same call many times, over a few connections; resolves with how often each code was the answer. */
async function flood(url: string, token: string, times: number): Promise<ReadonlyMap<string, number>> {
  const codes = new Map<string, number>();
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  async function one(): Promise<void> {
    const answer = await new Promise<string>((resolve, reject) => {
      const sent = request(`${url}/v1/chat/completions`, { method: 'POST', agent, headers }, async (response) => {
        const chunks: Buffer[] = await response.toArray();
        resolve(Buffer.concat(chunks).toString());
      });
      sent.on('error', reject).end(ask);
    });
    const code = /"code":\s*"(\w+)"/.exec(answer)?.[1] ?? 'ok';
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  for (let sent = 0; sent < times; sent += 500) await Promise.all(Array.from({ length: Math.min(500, times - sent) }, one));
  return codes;
}

function spooled(dataDir: string): readonly string[] {
  const dir = join(dataDir, 'spool');
  return readdirSync(dir)
    .filter((name) => name.endsWith('.seg'))
    .map((name) => join(dir, name));
}

async function isIntact(dataDir: string): Promise<void> {
  const verified = await runKeyforge(['audit', 'verify', '--data', dataDir]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
}

test('4,000 refusals of a key without money are each counted, in a few entries and kilobytes', async () => {
  await using world = await startWorld({ keys: { 'bot.yaml': penniless } });
  const startedMs = Date.now();
  const codes = await flood(world.proxyUrl, world.token, 4_000);
  assert.equal(codes.has('ok'), false);
  const metrics = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  for (const [code, times] of codes) assert.match(metrics, new RegExp(`keyforge_requests_total{[^}]*code="${code}"} ${times}$`, 'm'));
  await world.standalone.close();
  const minutes = Math.floor(Date.now() / 60_000) - Math.floor(startedMs / 60_000) + 1;

  assert.deepEqual(recordedCodes(world.dataDir), codes);
  const entries = readRecords(world.dataDir);
  assert.ok(entries.length <= 2 * codes.size * minutes, `${entries.length} entries of ${codes.size} codes in ${minutes} minutes`);
  const bytes = spooled(world.dataDir).reduce((sum, path) => sum + statSync(path).size, 0);
  assert.ok(bytes < 100_000 * minutes, `${bytes} bytes in ${minutes} minutes`);
  await isIntact(world.dataDir);
});

test('what was counted a second before a SIGKILL is in the entry of the recovery, once', async () => {
  const credential = credentialValue('openai');
  const environment = { KEYFORGE_SECRET_OPENAI_MAIN: credential };
  const provider = await startSimulation({ credentials: [credential] });
  const root = await mkdtemp(join(tmpdir(), 'keyforge-refusals-'));
  try {
    const manifests = await mkdtemp(join(root, 'manifests-'));
    const dataDir = join(root, 'data');
    await writeFile(join(manifests, 'pool.yaml'), poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url }));
    const pools = [{ name: 'openai', namespace: 'keyforge-system' }];
    await writeFile(join(manifests, 'bot.yaml'), keyManifest('bot', { pools, limits: [{ window: 'Day', usd: '0.000001' }] }));
    await untilEarlyInMinute();
    const up = await startUp(manifests, dataDir, environment);
    const codes = await flood(up.proxyUrl, up.token, 200);
    assert.deepEqual([...codes.values()], [200]);
    const isSaved = () => spooled(dataDir).some((path) => readFileSync(path).includes('"count":199')) || undefined;
    await eventually(isSaved, 'the count in the spool');
    await up.kill('SIGKILL');
    const again = await startUp(manifests, dataDir, environment);
    await flood(again.proxyUrl, again.token, 1);
    await again.kill('SIGTERM');
    assert.deepEqual([...recordedCodes(dataDir).values()], [201]);
    const recoveries = readRecords(dataDir).filter(({ type }) => type === 'epoch_recovered');
    assert.equal(recoveries.flatMap(countedRefusals).length, 1);
    await isIntact(dataDir);
  } finally {
    await provider.close();
    await rm(root, { recursive: true, force: true });
  }
});
