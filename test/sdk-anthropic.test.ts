import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { eventually, startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

const model = 'claude-haiku-4-5';
const ask = { model, max_tokens: 200, messages: [{ role: 'user' as const, content: 'Say hello to the anthropic sdk' }] };

let world: World;
let attempts = 0;
let client: Anthropic;

before(async () => {
  world = await startWorld({
    keys: {
      'bot.yaml': keyManifest('bot', { models: { deny: ['claude-sonnet-5'] }, perRequest: { outputTokens: 300 } }),
      'poor.yaml': keyManifest('poor', { limits: [{ window: 'Day', usd: '0.000001' }] }),
    },
  });
  client = clientOf(world.token);
});
after(() => world.close());

function clientOf(apiKey: string): Anthropic {
  const counting: typeof fetch = (input, init) => {
    attempts += 1;
    return fetch(input, init);
  };
  return new Anthropic({ baseURL: world.proxyUrl, apiKey, fetch: counting });
}

async function failing(work: Promise<unknown>): Promise<InstanceType<typeof Anthropic.APIError>> {
  attempts = 0;
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Anthropic.APIError, String(error));
  return error;
}

test('a plain message answers', async () => {
  const message = await client.messages.create(ask);
  assert.equal(message.content[0]?.type, 'text');
  assert.equal(message.stop_reason, 'end_turn');
});

test('a stream assembles to the same message and usage', async () => {
  const whole = await client.messages.create(ask);
  const streamed = await client.messages.stream(ask).finalMessage();
  assert.deepEqual(streamed.content, whole.content);
  assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens);
});

test('tools and structured output go through, plain and streamed', async () => {
  const tools = [
    { name: 'get_weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string', enum: ['Berlin'] } } } },
  ];
  const called = await client.messages
    .stream({ ...ask, tools, messages: [{ role: 'user', content: 'Please get_weather' }] })
    .finalMessage();
  assert.deepEqual(called.content.find((block) => block.type === 'tool_use')?.input, { city: 'Berlin' });
  const structured = await client.messages.create({
    ...ask,
    output_config: { format: { type: 'json_schema', schema: { type: 'object', properties: { city: { const: 'Berlin' } } } } },
  });
  assert.equal(structured.content[0]?.type === 'text' && structured.content[0].text, '{"city":"Berlin"}');
});

test('counting tokens works, costs nothing and leaves requests as they were', async () => {
  const counted = await client.messages.countTokens({ model, messages: ask.messages });
  assert.ok(counted.input_tokens > 0);
});

test('the caller’s own version and beta headers reach the provider; our key does not', async () => {
  await client.messages.create(ask, { headers: { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'one-2026-01-01,two-2026-02-02' } });
  const seen = world.provider.calls().at(-1)?.headers;
  assert.equal(seen?.['anthropic-version'], '2023-06-01');
  assert.equal(seen?.['anthropic-beta'], 'one-2026-01-01,two-2026-02-02');
  assert.doesNotMatch(JSON.stringify(seen), /vk_/);
});

test('max_tokens over the key’s limit is lowered, and a header says so', async () => {
  const { response } = await client.messages.create({ ...ask, max_tokens: 5000 }).withResponse();
  assert.match(response.headers.get('x-keyforge-warnings') ?? '', /output limit lowered from 5000 to 300/);
  assert.equal(JSON.parse(world.provider.calls().at(-1)?.body.toString() ?? '{}').max_tokens, 300);
});

test('the model list has only what this key may call, in Anthropic’s shape', async () => {
  const names = (await client.models.list()).data.map((each) => each.id);
  assert.ok(names.includes(model), names.join());
  assert.ok(!names.includes('claude-sonnet-5'), names.join());
});

test('final refusals are the SDK’s own types, sent once', async () => {
  const wrong = await failing(clientOf('vk_nobody').messages.create(ask));
  assert.ok(wrong instanceof Anthropic.AuthenticationError);
  assert.equal(attempts, 1);
  const denied = await failing(client.messages.create({ ...ask, model: 'claude-sonnet-5' }));
  assert.ok(denied instanceof Anthropic.PermissionDeniedError);
  assert.match(JSON.stringify(denied.error), /model_denied/);
  assert.equal(attempts, 1);
  const poor = await failing(clientOf(world.tokenOf('poor')).messages.create(ask));
  assert.match(JSON.stringify(poor.error), /request_too_expensive/);
  assert.equal(attempts, 1);
});

test('the provider’s refusal of our credential never blames the caller', async () => {
  const undo = world.provider.rule({ path: '/v1/messages', fault: { kind: 'unauthorized' } });
  const error = await failing(client.messages.create(ask));
  undo();
  assert.equal(error.status, 502);
  assert.match(JSON.stringify(error.error), /provider_unauthorized/);
  assert.equal(attempts, 1);
});

test('an abort ends the stream for the caller, and the call is recorded with what it cost', async () => {
  await using own = await startWorld();
  own.provider.rule({ conditions: { msPerToken: 20 } });
  const stream = new Anthropic({ baseURL: own.proxyUrl, apiKey: own.token }).messages.stream(ask);
  stream.on('text', () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  const record = await eventually(async () => (await own.records()).at(-1), 'the record');
  assert.equal(record.code, 'client_disconnected');
  assert.ok(BigInt(record.costNanoUsd) > 0n);
});
