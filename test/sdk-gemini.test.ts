import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApiError, GoogleGenAI } from '@google/genai';
import { eventually, startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

const model = 'gemini-2.5-flash';
const contents = 'Say hello to the gemini sdk';

let world: World;
let client: GoogleGenAI;

before(async () => {
  world = await startWorld({
    keys: {
      'bot.yaml': keyManifest('bot', { models: { allow: ['gemini-*'] } }),
      'poor.yaml': keyManifest('poor', { limits: [{ window: 'Day', usd: '0.000001' }] }),
    },
  });
  client = clientOf(world.token);
});
after(() => world.close());

function clientOf(apiKey: string, apiVersion?: string): GoogleGenAI {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: world.proxyUrl, ...(apiVersion === undefined ? {} : { apiVersion }) } });
}

async function failing(work: Promise<unknown>): Promise<ApiError> {
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ApiError, String(error));
  return error;
}

test('generateContent answers under v1 and v1beta', async () => {
  for (const version of ['v1', 'v1beta']) {
    const answer = await clientOf(world.token, version).models.generateContent({ model, contents });
    assert.match(answer.text ?? '', /Say hello/);
  }
});

test('a stream says the same', async () => {
  let text = '';
  for await (const chunk of await client.models.generateContentStream({ model, contents })) text += chunk.text ?? '';
  assert.match(text, /Say hello/);
});

test('tools and structured output go through', async () => {
  const called = await client.models.generateContent({
    model,
    contents: 'Please get_weather',
    config: {
      tools: [
        {
          functionDeclarations: [
            { name: 'get_weather', parametersJsonSchema: { type: 'object', properties: { city: { const: 'Berlin' } } } },
          ],
        },
      ],
    },
  });
  assert.deepEqual(called.functionCalls?.[0]?.args, { city: 'Berlin' });
  const structured = await client.models.generateContent({
    model,
    contents,
    config: { responseMimeType: 'application/json', responseJsonSchema: { type: 'object', properties: { city: { const: 'Berlin' } } } },
  });
  assert.deepEqual(JSON.parse(structured.text ?? ''), { city: 'Berlin' });
});

test('countTokens and embedContent work', async () => {
  assert.ok(((await client.models.countTokens({ model, contents })).totalTokens ?? 0) > 0);
  const embedded = await world.post('/v1beta/models/gemini-embedding-001:embedContent', { content: { parts: [{ text: 'one' }] } });
  assert.equal(embedded.status, 200, await embedded.text());
});

test('the SDK embeds: it asks for a batch even of one', async () => {
  const embedded = await client.models.embedContent({ model: 'gemini-embedding-001', contents: 'one' });
  assert.ok((embedded.embeddings?.[0]?.values?.length ?? 0) > 0);
});

test('our key is not sent on, neither as header nor in the query', async () => {
  await client.models.generateContent({ model, contents });
  const call = world.provider.calls().at(-1);
  assert.doesNotMatch(JSON.stringify([call?.headers, call?.path]), /vk_/);
});

test('refusals are ApiErrors with Gemini’s body and our code', async () => {
  const wrong = await failing(clientOf('vk_nobody').models.generateContent({ model, contents }));
  assert.equal(wrong.status, 401);
  assert.match(wrong.message, /invalid_key/);
  const denied = await failing(client.models.generateContent({ model: 'gemini-embedding-001x', contents }));
  assert.equal(denied.status, 403);
  const poor = await failing(clientOf(world.tokenOf('poor')).models.generateContent({ model, contents }));
  assert.equal(poor.status, 403);
  assert.match(poor.message, /request_too_expensive/);
});

test('an abort is recorded with what it cost', async () => {
  await using own = await startWorld();
  own.provider.rule({ conditions: { msPerToken: 20 } });
  const abort = new AbortController();
  const aborting = new GoogleGenAI({ apiKey: own.token, httpOptions: { baseUrl: own.proxyUrl } });
  const stream = await aborting.models.generateContentStream({ model, contents, config: { abortSignal: abort.signal } });
  await assert.rejects(async () => {
    for await (const _ of stream) abort.abort();
  });
  const record = await eventually(async () => (await own.records()).at(-1), 'the record');
  assert.equal(record.code, 'client_disconnected');
  assert.ok(BigInt(record.costNanoUsd) > 0n);
});
