import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { eventually, recordedNano, startWorld, untilEarlyInMinute, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

const messages = [{ role: 'user' as const, content: 'Say hello to the openai sdk' }];
const model = 'gpt-5.4-mini';

let world: World;
let attempts = 0;
let client: OpenAI;

before(async () => {
  world = await startWorld({
    keys: {
      'bot.yaml': keyManifest('bot', { models: { deny: ['gpt-5.4'], aliases: { fast: model } } }),
      'poor.yaml': keyManifest('poor', { limits: [{ window: 'Day', usd: '0.000001' }] }),
      'slow.yaml': keyManifest('slow', { rate: { requestsPerMinute: 1 } }),
    },
  });
  client = clientOf(world.token);
});
after(() => world.close());

/** The SDK as anyone uses it, with its own retries; `attempts` counts what it sends. */
function clientOf(apiKey: string): OpenAI {
  const counting: typeof fetch = (input, init) => {
    attempts += 1;
    return fetch(input, init);
  };
  return new OpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey, fetch: counting });
}

async function failing(work: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  attempts = 0;
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof OpenAI.APIError, String(error));
  return error;
}

test('a plain chat answers, and names its request and cost', async () => {
  const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
  assert.match(data.choices[0]?.message.content ?? '', /Say hello/);
  assert.ok(response.headers.get('x-keyforge-request-id'));
  assert.match(response.headers.get('x-keyforge-cost-usd') ?? '', /^0\.\d+$/);
  assert.match(response.headers.get('x-keyforge-remaining-usd') ?? '', /^0\.\d+$/);
});

test('a stream says the same, without the usage chunk that nobody asked for', async () => {
  let text = '';
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    assert.equal(chunk.choices.length, 1);
    assert.ok(chunk.usage === undefined || chunk.usage === null);
    text += chunk.choices[0]?.delta.content ?? '';
  }
  assert.match(text, /Say hello/);
});

test('a stream has its usage chunk where the caller asked for it', async () => {
  let usage: OpenAI.CompletionUsage | null | undefined;
  const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) usage = chunk.usage ?? usage;
  assert.ok((usage?.completion_tokens ?? 0) > 0);
});

test('an alias is served by the model it stands for', async () => {
  const answer = await client.chat.completions.create({ model: 'fast', messages });
  assert.equal(answer.model, model);
});

test('tools go both ways, plain and streamed', async () => {
  const tools: OpenAI.ChatCompletionTool[] = [
    {
      type: 'function',
      function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string', enum: ['Berlin'] } } } },
    },
  ];
  const ask = { model, tools, messages: [{ role: 'user' as const, content: 'Please get_weather' }] };
  const whole = await client.chat.completions.create(ask);
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
  for (const answer of [whole, streamed]) {
    const call = answer.choices[0]?.message.tool_calls?.[0];
    assert.equal(call?.type === 'function' && call.function.arguments, '{"city":"Berlin"}');
  }
  const call = whole.choices[0]?.message;
  assert.ok(call);
  const after = await client.chat.completions.create({
    ...ask,
    messages: [...ask.messages, call, { role: 'tool', tool_call_id: call.tool_calls?.[0]?.id ?? '', content: 'sunny' }],
  });
  assert.equal(after.choices[0]?.finish_reason, 'stop');
});

test('structured output is JSON of the schema', async () => {
  const answer = await client.chat.completions.create({
    model,
    messages,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'city', schema: { type: 'object', properties: { city: { const: 'Berlin' } } } },
    },
  });
  assert.deepEqual(JSON.parse(answer.choices[0]?.message.content ?? ''), { city: 'Berlin' });
});

test('the Responses API works plain, streamed and with tools', async () => {
  const plain = await client.responses.create({ model, input: 'Hello responses' });
  assert.match(plain.output_text, /Hello responses/);
  const streamed = await client.responses.stream({ model, input: 'Hello responses' }).finalResponse();
  assert.equal(streamed.output_text, plain.output_text);
  const called = await client.responses.create({
    model,
    input: 'Use find_it',
    tools: [{ type: 'function', name: 'find_it', parameters: { type: 'object', properties: {} }, strict: false }],
  });
  assert.equal(
    called.output.some((item) => item.type === 'function_call'),
    true,
  );
});

test('embeddings work', async () => {
  const answer = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] });
  assert.equal(answer.data.length, 2);
});

test('the model list has only what this key may call', async () => {
  const names: string[] = [];
  for await (const each of client.models.list()) names.push(each.id);
  assert.ok(names.includes(model), names.join());
  assert.ok(!names.includes('gpt-5.4'), names.join());
});

test('a wrong key is the SDK’s AuthenticationError, sent once', async () => {
  const error = await failing(clientOf('vk_nobody').chat.completions.create({ model, messages }));
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, 'invalid_key');
  assert.equal(attempts, 1);
});

test('a denied model is a PermissionDeniedError, sent once', async () => {
  const error = await failing(client.chat.completions.create({ model: 'gpt-5.4', messages }));
  assert.ok(error instanceof OpenAI.PermissionDeniedError);
  assert.equal(error.code, 'model_denied');
  assert.equal(attempts, 1);
});

test('an unknown route and an ambiguous body are NotFoundError and BadRequestError, sent once', async () => {
  assert.ok((await failing(client.get('/nowhere'))) instanceof OpenAI.NotFoundError);
  const twice = await failing(
    client.post('/chat/completions', { body: Buffer.from('{"model":"gpt-5.4-mini","model":"gpt-5.4","messages":[]}') }),
  );
  assert.ok(twice instanceof OpenAI.BadRequestError, String(twice));
  assert.equal(twice.code, 'invalid_request');
  assert.equal(attempts, 1);
});

test('a call that no window could ever pay for is refused for good, sent once', async () => {
  const error = await failing(clientOf(world.tokenOf('poor')).chat.completions.create({ model, messages, max_tokens: 1000 }));
  assert.equal(error.status, 403);
  assert.equal(error.code, 'request_too_expensive');
  assert.equal(error.headers?.get('x-should-retry'), 'false');
  assert.equal(attempts, 1);
});

test('a per-minute limit is a RateLimitError that tells when to come back', async () => {
  const slow = clientOf(world.tokenOf('slow')).withOptions({ maxRetries: 0 });
  await untilEarlyInMinute();
  await slow.chat.completions.create({ model, messages });
  const error = await failing(slow.chat.completions.create({ model, messages }));
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.equal(error.code, 'rate_limited');
  assert.match(error.headers?.get('retry-after') ?? '', /^\d+$/);
});

test('the provider’s own errors come through as the SDK’s types', async () => {
  const error = await failing(client.chat.completions.create({ model, messages: [] }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.match(error.message, /messages/);
});

test('an abort ends the stream for the caller, and the call is recorded with what it cost', async () => {
  const undo = world.provider.rule({ conditions: { msPerToken: 20 } });
  const { data: stream, response } = await client.chat.completions.create({ model, messages, stream: true }).withResponse();
  for await (const _ of stream) {
    stream.controller.abort();
    break;
  }
  undo();
  const id = response.headers.get('x-keyforge-request-id');
  const record = await eventually(async () => (await world.records()).find((each) => each.requestId === id), 'its record');
  assert.equal(record.code, 'client_disconnected');
  assert.ok(BigInt(record.costNanoUsd) > 0n);
});

test('what was recorded is what the provider bills', async () => {
  const bill = world.provider.bill();
  const billed = world.provider.calls().filter((call) => call.pico > 0n);
  const records = await eventually(async () => {
    const paid = (await world.records()).filter((record) => BigInt(record.costNanoUsd) > 0n);
    return paid.length >= billed.length ? paid : undefined;
  }, 'all records');
  const expected = billed.reduce((sum, call) => sum + (call.pico + 999n) / 1000n, 0n);
  assert.equal(recordedNano(records), expected);
  assert.ok(recordedNano(records) * 1000n >= bill.totalPico);
});
