import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, embed, generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { sdkVariables, urlVariables } from '../core/base-urls.ts';
import { startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

let world: World;
before(async () => {
  world = await startWorld({ keys: { 'bot.yaml': keyManifest('bot', { models: { deny: ['gpt-5.4'] } }) } });
});
after(() => world.close());

function openai(apiKey = world.token) {
  return createOpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey });
}

/** The same model of each provider as the AI SDK reaches it. */
function models() {
  return [
    openai().chat('gpt-5.4-mini'),
    openai().responses('gpt-5.4-mini'),
    createAnthropic({ baseURL: `${world.proxyUrl}/v1`, apiKey: world.token })('claude-haiku-4-5'),
    createGoogleGenerativeAI({ baseURL: `${world.proxyUrl}/v1beta`, apiKey: world.token })('gemini-2.5-flash'),
  ];
}

test('the AI SDK generates and streams the same text through every provider', async () => {
  for (const model of models()) {
    const { text } = await generateText({ model, prompt: 'Hello AI SDK' });
    let streamed = '';
    for await (const part of streamText({ model, prompt: 'Hello AI SDK' }).textStream) streamed += part;
    assert.match(text, /Hello AI SDK/, model.modelId);
    assert.equal(streamed, text, model.modelId);
  }
});

test('with the variables of a container alone, the AI SDK reaches KeyForge for OpenAI and Anthropic', async (t) => {
  for (const each of sdkVariables) {
    for (const [name, value] of [...urlVariables(each, world.proxyUrl), ...each.keys.map((key) => [key, world.token] as const)]) {
      const before = process.env[name];
      process.env[name] = value;
      t.after(() => {
        if (before === undefined) delete process.env[name];
        else process.env[name] = before;
      });
    }
  }
  // As docs/agents.md has it: Google's package reads neither variable.
  const google = createGoogleGenerativeAI({
    baseURL: `${process.env['GOOGLE_GEMINI_BASE_URL']}/v1beta`,
    apiKey: process.env['GEMINI_API_KEY'] ?? '',
  });
  for (const model of [createOpenAI()('gpt-5.4-mini'), createAnthropic()('claude-haiku-4-5'), google('gemini-2.5-flash')]) {
    const { text } = await generateText({ model, prompt: 'Hello AI SDK' });
    assert.match(text, /Hello AI SDK/, model.modelId);
  }
});

test('the AI SDK calls tools through every provider', async () => {
  const tools = {
    get_weather: tool({
      inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string', enum: ['Berlin'] } } }),
      execute: () => 'sunny',
    }),
  };
  for (const model of models()) {
    const { toolCalls } = await generateText({ model, prompt: 'Please get_weather', tools });
    assert.deepEqual(toolCalls[0]?.input, { city: 'Berlin' }, model.modelId);
  }
});

test('the AI SDK gets structured output through every provider', async () => {
  const schema = jsonSchema<{ city: string }>({
    type: 'object',
    properties: { city: { type: 'string', enum: ['Berlin'] } },
    required: ['city'],
    additionalProperties: false,
  });
  for (const model of models()) {
    const { output } = await generateText({ model, prompt: 'Where?', output: Output.object({ schema }) });
    assert.deepEqual(output, { city: 'Berlin' }, model.modelId);
  }
});

test('the AI SDK embeds', async () => {
  const { embedding } = await embed({ model: openai().embeddingModel('text-embedding-3-small'), value: 'one' });
  assert.ok(embedding.length > 0);
});

test('a final refusal is an APICallError that is not retried', async () => {
  const before = world.provider.calls().length;
  await assert.rejects(generateText({ model: openai().chat('gpt-5.4'), prompt: 'x' }), (error) => {
    assert.ok(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, 403);
    assert.equal(error.isRetryable, false);
    return true;
  });
  assert.equal(world.provider.calls().length, before);
});

test('an abort ends a stream', async () => {
  const undo = world.provider.rule({ conditions: { msPerToken: 20 } });
  const abort = new AbortController();
  const parts: string[] = [];
  const { fullStream } = streamText({ model: openai().chat('gpt-5.4-mini'), prompt: 'Hello', abortSignal: abort.signal });
  for await (const part of fullStream) {
    parts.push(part.type);
    if (part.type === 'text-delta') abort.abort();
  }
  undo();
  assert.ok(parts.includes('abort') || parts.includes('error'), parts.join());
});
