import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Fault } from '../simulator/faults.ts';
import { startSimulation } from '../simulator/provider.ts';
import { startUp } from './cli.ts';
import { credentialValue, eventually, startWorld, type World } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

const canary = 'CANARY0123456789';
const ask = { model: 'gpt-5.4-mini', max_tokens: 50, messages: [{ role: 'user', content: 'Hello canary' }] };

/** Where the canary would be seen: every way in which a call can fail. */
const faults: readonly Fault[] = [
  { kind: 'rate_limited', retryAfterSeconds: 1 },
  { kind: 'insufficient_quota' },
  { kind: 'unauthorized' },
  { kind: 'billing' },
  { kind: 'overloaded' },
  { kind: 'server_error' },
  { kind: 'bad_gateway' },
  { kind: 'redirect', location: 'http://127.0.0.1:1/' },
  { kind: 'reset_before_headers' },
  { kind: 'reset_mid_stream', afterFrames: 4 },
  { kind: 'cut_mid_stream', afterFrames: 4 },
  { kind: 'error_event', afterFrames: 4 },
];

/** A provider that repeats the credential wherever it can, as some do in their error messages. */
function echo(family: string): Fault {
  const value = credentialValue(family, 'main');
  const body = JSON.stringify({
    error: { message: `Incorrect API key provided: ${value}.`, type: 'invalid_request_error', code: 'invalid_api_key' },
  });
  return { kind: 'answer', status: 401, headers: { 'content-type': 'application/json', 'x-echo': value, 'www-authenticate': value }, body };
}

async function exchange(world: World, path: string, body: unknown): Promise<string> {
  const response = await world.post(path, body);
  const text = await response.text().catch((error: unknown) => String(error));
  return JSON.stringify([response.status, [...response.headers], text]);
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

test('a credential is in no answer, log, metric, record or file, however a call fails', async () => {
  await using world = await startWorld({ credentials: ['main'] });
  const seen: string[] = [];
  const calls = [
    ['/v1/chat/completions', ask],
    ['/v1/chat/completions', { ...ask, stream: true }],
    ['/v1/messages', { ...ask, model: 'claude-haiku-4-5', stream: true }],
    ['/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }],
  ] as const;
  for (const [path, body] of calls) seen.push(await exchange(world, path, body));
  for (const fault of [...faults, echo('openai'), echo('anthropic')]) {
    for (const [path, body] of calls.slice(1, 3)) {
      const undo = world.provider.rule({ fault });
      seen.push(await exchange(world, path, body));
      undo();
      // A credential that was set aside would be spared all that follows.
      await world.edit('pools.yaml', `${readFileSync(join(world.manifestDir, 'pools.yaml'), 'utf8')}\n`);
    }
  }
  await world.provider.close();
  for (const [path, body] of calls) seen.push(await exchange(world, path, body));
  const metrics = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  const self = await (await fetch(`${world.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${world.token}` } })).text();
  await world.standalone.close();
  assert.ok(seen.length > 20);
  for (const text of [...seen, metrics, self, world.log.text()]) assert.ok(!text.includes(canary), text.slice(0, 2000));
  for (const file of filesBelow(world.dataDir)) {
    const bytes = readFileSync(file);
    assert.ok(!bytes.includes(canary), file);
    assert.ok(!bytes.includes(Buffer.from(canary).toString('base64').replace(/=+$/, '')), file);
  }
});

test('keyforge up says no credential on any of its streams, at the most talkative level', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyforge-canary-'));
  const provider = await startSimulation({ credentials: [] });
  const manifests = join(folder, 'manifests');
  await mkdir(manifests);
  await writeFile(join(manifests, 'pool.yaml'), poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url }));
  await writeFile(join(manifests, 'bot.yaml'), keyManifest('bot', { pools: [{ name: 'openai', namespace: 'keyforge-system' }] }));
  const secrets = { KEYFORGE_SECRET_OPENAI_MAIN: credentialValue('openai'), KEYFORGE_LOG_LEVEL: 'trace' };
  const up = await startUp(manifests, join(folder, 'data'), secrets);
  for (const body of [ask, { ...ask, model: 'nothing' }, '{']) {
    const headers = { authorization: `Bearer ${up.token}`, 'content-type': 'application/json' };
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    await (await fetch(`${up.proxyUrl}/v1/chat/completions`, { method: 'POST', headers, body: text })).text();
  }
  await writeFile(
    join(manifests, 'pool.yaml'),
    'kind: Secret\napiVersion: v1\nmetadata: {name: openai}\nstringData: {main: [CANARY0123456789]}\n',
  );
  await eventually(() => (up.stderr().includes('stringData') ? true : undefined), 'the broken edit to be told');
  const { stdout, stderr, code } = await up.kill('SIGTERM');
  await provider.close();
  await rm(folder, { recursive: true });
  assert.equal(code, 0, stderr);
  assert.ok(!stderr.includes(canary) && !stdout.includes(canary), stderr);
  assert.ok(!stderr.includes(up.token), stderr);
  assert.match(stderr, /stringData/, 'the broken edit was told');
});

test('a virtual key is in no log, metric, record or file but its own', async () => {
  await using world = await startWorld();
  await exchange(world, '/v1/chat/completions', ask);
  await exchange(world, '/v1/chat/completions', { ...ask, model: 'nothing' });
  const metrics = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  await world.standalone.close();
  assert.ok(!metrics.includes(world.token));
  assert.ok(!world.log.text().includes(world.token));
  const holding = filesBelow(world.dataDir).filter((file) => readFileSync(file).includes(world.token));
  assert.equal(holding.length, 1, holding.join());
  assert.equal(statSync(holding[0] ?? '').mode & 0o777, 0o600);
  assert.equal(statSync(world.dataDir).mode & 0o077, 0);
});

test('a key that nobody has is not repeated in the refusal or the log', async () => {
  await using world = await startWorld();
  const stranger = 'vk_STRANGER0123456789STRANGER0123456789STRANGER01234567';
  const response = await world.post('/v1/chat/completions', ask, { token: stranger });
  assert.equal(response.status, 401);
  assert.ok(!(await response.text()).includes(stranger));
  assert.ok(!world.log.text().includes(stranger));
});
