import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedModels } from '../simulator/models.ts';
import { credentialValue, startWorld, type World } from './harness.ts';
import { poolManifest } from './manifests.ts';

const path = '/v1/chat/completions';
const ask = { model: 'gpt-5.4-mini', max_tokens: 100, messages: [{ role: 'user', content: 'Hello failover' }] };
const messages = { model: 'claude-haiku-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hello failover' }] };
const two = { credentials: ['first', 'second'] };

/** Credentials in the order in which the provider saw them. */
function used(world: World): readonly string[] {
  return world.provider.calls().map((call) => call.credential);
}

/** The credential that this conversation is kept on: the one to make fail. */
async function preferred(world: World, at: string = path, body: unknown = ask): Promise<string> {
  await (await world.post(at, body)).text();
  return used(world)[0] ?? '';
}

async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { readonly error?: { readonly code?: string; readonly type?: string } };
  return response.ok ? 'ok' : (body.error?.code ?? JSON.stringify(body));
}

test('a rate-limited credential hands over to another quota scope, and rests until Retry-After', async () => {
  await using world = await startWorld(two);
  const limited = await preferred(world);
  world.provider.rule({ credential: limited, fault: { kind: 'rate_limited', retryAfterSeconds: 30 } });
  for (let call = 0; call < 4; call += 1) assert.equal(await codeOf(await world.post(path, ask)), 'ok');
  assert.equal(used(world).filter((credential) => credential === limited).length, 2, used(world).join());
  const tried = (await world.records(5)).find((record) => record.attempts.length > 1);
  assert.deepEqual(
    tried?.attempts.map((attempt) => [
      credentialValue('openai', attempt.credential) === limited,
      attempt.status,
      BigInt(attempt.costNanoUsd) > 0n,
    ]),
    [
      [true, 429, false],
      [false, 200, true],
    ],
  );
});

test('credentials of one quota scope are not tried one after the other', async () => {
  await using world = await startWorld({
    ...two,
    pools: (url) =>
      poolManifest({
        name: 'openai',
        provider: 'OpenAI',
        endpoint: url,
        keys: { first: 'org-1', second: 'org-1' },
        models: simulatedModels.filter((model) => model.family === 'openai'),
      }),
    keys: {
      'bot.yaml': JSON.stringify({
        apiVersion: 'keyforge.dev/v1alpha1',
        kind: 'VirtualKey',
        metadata: { name: 'bot', namespace: 'agents' },
        spec: { pools: [{ name: 'openai', namespace: 'keyforge-system' }], limits: [{ window: 'Day', usd: '1.00' }] },
      }),
    },
  });
  world.provider.rule({ fault: { kind: 'rate_limited', retryAfterSeconds: 30 } });
  assert.equal((await world.post(path, ask)).status, 429);
  assert.equal(world.provider.calls().length, 1);
});

test('with every credential limited the caller gets provider_limited, Retry-After and the provider’s own words', async () => {
  await using world = await startWorld(two);
  world.provider.rule({ fault: { kind: 'rate_limited', retryAfterSeconds: 17 } });
  const response = await world.post(path, ask);
  const text = await response.text();
  assert.equal(response.status, 429);
  const wait = Number(response.headers.get('retry-after'));
  assert.ok(wait >= 15 && wait <= 18, String(wait));
  assert.equal(response.headers.get('x-should-retry'), 'true');
  assert.match(text, /Rate limit reached/);
  const again = await world.post(path, ask);
  assert.equal(again.status, 429);
  assert.equal(world.provider.calls().length, 2, 'a resting credential gets no traffic');
  assert.deepEqual(
    (await world.records(2)).map((record) => record.code),
    ['provider_limited', 'provider_limited'],
  );
});

test('a wait of more than a minute is not worth a retry', async () => {
  await using world = await startWorld();
  world.provider.rule({ fault: { kind: 'rate_limited', retryAfterSeconds: 600 } });
  const response = await world.post(path, ask);
  assert.equal(response.headers.get('x-should-retry'), 'false');
});

test('an account without money is set aside, whatever Retry-After says', async () => {
  await using world = await startWorld(two);
  const empty = await preferred(world);
  world.provider.rule({ credential: empty, fault: { kind: 'insufficient_quota' } });
  for (let call = 0; call < 3; call += 1) assert.equal(await codeOf(await world.post(path, ask)), 'ok');
  assert.equal(used(world).filter((credential) => credential === empty).length, 2);
});

test('a refused credential is set aside; the last one is provider_unauthorized, never a 401', async () => {
  await using world = await startWorld(two);
  world.provider.rule({ credential: await preferred(world), fault: { kind: 'unauthorized' } });
  assert.equal(await codeOf(await world.post(path, ask)), 'ok');
  world.provider.rule({ fault: { kind: 'unauthorized' } });
  const response = await world.post(path, ask);
  assert.equal(response.status, 502);
  assert.equal(await codeOf(response), 'provider_unauthorized');
  const metrics = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  const attempts = [...metrics.matchAll(/^keyforge_upstream_attempts_total\{.*outcome="(\w+)"\} (\d+)$/gm)].map(([, outcome, count]) => [
    outcome,
    count,
  ]);
  assert.deepEqual(attempts.toSorted(), [
    ['answered', '1'],
    ['answered', '1'],
    ['refused', '1'],
    ['refused', '1'],
  ]);
});

test('an overloaded vendor is not hammered with every credential', async () => {
  await using world = await startWorld(two);
  world.provider.rule({ fault: { kind: 'overloaded' } });
  const response = await world.post('/v1/messages', messages);
  assert.equal(response.status, 529);
  assert.match(await response.text(), /overloaded_error/);
  assert.equal(world.provider.calls().length, 1);
});

test('a 402 of Anthropic sets the credential aside', async () => {
  await using world = await startWorld(two);
  const empty = await preferred(world, '/v1/messages', messages);
  world.provider.rule({ credential: empty, fault: { kind: 'billing' } });
  for (let call = 0; call < 2; call += 1) assert.equal((await world.post('/v1/messages', messages)).status, 200);
  assert.equal(used(world).filter((credential) => credential === empty).length, 2);
});

test('an error page between us and the provider is a 502, charged because nobody knows what happened behind it', async () => {
  await using world = await startWorld();
  world.provider.rule({ fault: { kind: 'bad_gateway' } });
  assert.equal((await world.post(path, ask)).status, 502);
  const [record] = await world.records(1);
  assert.equal(record?.estimated, true);
});

test('a provider that resets before answering is provider_error', async () => {
  await using world = await startWorld();
  world.provider.rule({ fault: { kind: 'reset_before_headers' } });
  assert.equal(await codeOf(await world.post(path, ask)), 'provider_error');
});

test('a redirect is never followed with a credential', async () => {
  await using world = await startWorld();
  await using elsewhere = await startWorld();
  world.provider.rule({ fault: { kind: 'redirect', location: `${elsewhere.provider.url}/v1/chat/completions` } });
  const response = await world.post(path, ask);
  await response.text();
  assert.equal(elsewhere.provider.calls().length, 0);
  assert.ok(response.status === 502 || response.status === 307, String(response.status));
  assert.equal(response.headers.get('location'), null);
});

test('after the first content nothing is tried again: a broken stream ends with an error event', async () => {
  await using world = await startWorld(two);
  world.provider.rule({ times: 1, fault: { kind: 'reset_mid_stream', afterFrames: 6 } });
  const response = await world.post(path, { ...ask, stream: true });
  const text = await response.text();
  assert.match(text, /data: \{"error"/);
  assert.doesNotMatch(text, /\[DONE\]/);
  assert.equal(world.provider.calls().length, 1);
});

test('an error event instead of an answer still finds another credential', async () => {
  await using world = await startWorld(two);
  const event =
    'data: {"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}\n\n';
  world.provider.rule({
    credential: await preferred(world),
    fault: { kind: 'answer', status: 200, headers: { 'content-type': 'text/event-stream' }, body: event },
  });
  for (let call = 0; call < 2; call += 1) {
    const text = await (await world.post(path, { ...ask, stream: true })).text();
    assert.match(text, /\[DONE\]/);
  }
});

test('a conversation stays on its credential', async () => {
  await using world = await startWorld({ credentials: ['first', 'second'] });
  for (let call = 0; call < 6; call += 1) await (await world.post(path, { ...ask, prompt_cache_key: 'one-conversation' })).text();
  assert.equal(new Set(used(world)).size, 1, used(world).join());
});
