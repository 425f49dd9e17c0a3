import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { price } from './ledger.ts';
import { simulatedModels } from './models.ts';
import { type Simulation, startSimulation } from './provider.ts';

const key = 'sk-simulated';
let simulation: Simulation;
let openai: OpenAI;
let anthropic: Anthropic;
let gemini: GoogleGenAI;

before(async () => {
  simulation = await startSimulation({ credentials: [key, 'second'], conditions: { chunkSeed: 7 } });
  openai = new OpenAI({ baseURL: `${simulation.url}/v1`, apiKey: key, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: simulation.url, apiKey: key, maxRetries: 0 });
  gemini = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: simulation.url } });
});
after(() => simulation.close());

const weather = {
  name: 'get_weather',
  description: 'Weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string', enum: ['Berlin'] } }, required: ['city'] },
} as const;

test('an OpenAI chat stream says the same as the whole answer, and both report the same usage', async () => {
  const body = { model: 'gpt-5.4-mini', messages: [{ role: 'user' as const, content: 'Hello there' }] };
  const whole = await openai.chat.completions.create(body);
  let text = '';
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of await openai.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0]?.message.content);
  assert.deepEqual(usage, whole.usage);
  assert.match(text, /Hello there/);
});

test('a max_tokens limit is kept and named as the finish reason', async () => {
  const answer = await openai.chat.completions.create({
    model: 'gpt-5.4-mini',
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 5,
  });
  assert.equal(answer.choices[0]?.finish_reason, 'length');
  assert.equal(answer.usage?.completion_tokens, 5);
});

test('a rule may have any tool called, with any arguments', async () => {
  const undo = simulation.rule({ conditions: { toolCall: { name: 'read', arguments: { path: 'a.txt' } } } });
  const { choices } = await openai.chat.completions.create({ model: 'gpt-5.4-mini', messages: [{ role: 'user', content: 'Hi' }] });
  undo();
  const call = choices[0]?.message.tool_calls?.[0];
  assert.deepEqual(call?.type === 'function' && [call.function.name, JSON.parse(call.function.arguments)], ['read', { path: 'a.txt' }]);
});

test('each dialect calls a tool that the prompt names, with arguments that fit its schema', async () => {
  const prompt = 'Use get_weather please';
  const chat = await openai.chat.completions.create({
    model: 'gpt-5.4-mini',
    messages: [{ role: 'user', content: prompt }],
    tools: [{ type: 'function', function: weather }],
  });
  const call = chat.choices[0]?.message.tool_calls?.[0];
  assert.deepEqual(call?.type === 'function' && JSON.parse(call.function.arguments), { city: 'Berlin' });
  const responses = await openai.responses.create({
    model: 'gpt-5.4',
    input: prompt,
    tools: [{ type: 'function', ...weather, strict: true }],
  });
  assert.equal(responses.output.find((item) => item.type === 'function_call')?.arguments, '{"city":"Berlin"}');
  const message = await anthropic.messages.create({
    model: 'claude-haiku-4-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: prompt }],
    tools: [{ name: weather.name, input_schema: weather.parameters as unknown as Anthropic.Tool.InputSchema }],
  });
  assert.deepEqual(message.content.find((block) => block.type === 'tool_use')?.input, { city: 'Berlin' });
  const generated = await gemini.models.generateContent({
    model: 'gemini-2.5-flash',
    contents: prompt,
    config: { tools: [{ functionDeclarations: [{ name: weather.name, parametersJsonSchema: weather.parameters }] }] },
  });
  assert.deepEqual(generated.functionCalls?.[0]?.args, { city: 'Berlin' });
});

test('the official helpers assemble Responses, Messages and Gemini streams', async () => {
  const response = await openai.responses.stream({ model: 'gpt-5.4', input: 'Hello' }).finalResponse();
  assert.match(response.output_text, /Hello/);
  assert.equal(response.usage?.output_tokens_details.reasoning_tokens, 16);
  const message = await anthropic.messages
    .stream({ model: 'claude-sonnet-5', max_tokens: 200, messages: [{ role: 'user', content: 'Hello' }] })
    .finalMessage();
  assert.equal(message.stop_reason, 'end_turn');
  let text = '';
  for await (const chunk of await gemini.models.generateContentStream({ model: 'gemini-2.5-flash', contents: 'Hello' }))
    text += chunk.text ?? '';
  assert.match(text, /Hello/);
});

test('a caching model reads a repeated prompt from cache, and writes it where the caller asked', async () => {
  const ask = () =>
    anthropic.messages.create({
      model: 'claude-sonnet-5',
      max_tokens: 64,
      system: [{ type: 'text', text: 'You are long and worth caching', cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: 'cache me' }],
    });
  const first = await ask();
  const second = await ask();
  assert.ok((first.usage.cache_creation_input_tokens ?? 0) > 0);
  assert.equal(second.usage.cache_creation_input_tokens, 0);
  assert.equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens);
});

test('counting and embedding answer in their own shape; counting is not billed', async () => {
  const before = simulation.bill().calls;
  const counted = await anthropic.messages.countTokens({ model: 'claude-haiku-4-5', messages: [{ role: 'user', content: 'Hello' }] });
  assert.ok(counted.input_tokens > 0);
  assert.equal(simulation.bill().calls, before);
  const embedded = await openai.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] });
  assert.equal(embedded.data.length, 2);
  assert.equal(simulation.bill().calls, before + 1);
});

test('an Anthropic answer thinks within its budget and its limit, and a budget out of range is refused', async () => {
  const undo = simulation.rule({ conditions: { thinkingTokens: 3000, outputTokens: 500 } });
  const ask = (max_tokens: number, budget_tokens: number) =>
    anthropic.messages.create({
      model: 'claude-haiku-4-5',
      max_tokens,
      thinking: { type: 'enabled', budget_tokens },
      messages: [{ role: 'user', content: 'Hello' }],
    });
  const whole = await ask(4000, 2000);
  assert.deepEqual([whole.usage.output_tokens, whole.stop_reason, whole.content[0]?.type], [2500, 'end_turn', 'thinking']);
  const cut = await ask(2100, 2000);
  assert.deepEqual([cut.usage.output_tokens, cut.stop_reason], [2100, 'max_tokens']);
  undo();
  await assert.rejects(ask(2000, 2000), /`max_tokens` must be greater than `thinking.budget_tokens`/);
  await assert.rejects(ask(2000, 1000), /greater than or equal to 1024/);
});

test('each family counts what it would bill, and says how often it was asked', async () => {
  const before = simulation.counts();
  const text = 'Count these few words';
  const message = { model: 'claude-haiku-4-5', messages: [{ role: 'user' as const, content: text }] };
  assert.equal(
    (await anthropic.messages.countTokens(message)).input_tokens,
    (await anthropic.messages.create({ ...message, max_tokens: 9 })).usage.input_tokens,
  );
  const input = { model: 'gpt-5.4-mini', input: text };
  assert.equal((await openai.responses.inputTokens.count(input)).input_tokens, (await openai.responses.create(input)).usage?.input_tokens);
  const prompt = { model: 'gemini-2.5-flash', contents: text };
  assert.equal(
    (await gemini.models.countTokens(prompt)).totalTokens,
    (await gemini.models.generateContent(prompt)).usageMetadata?.promptTokenCount,
  );
  assert.equal(simulation.counts(), before + 3);
});

test('errors have the provider’s own type, status and headers', async () => {
  await assert.rejects(
    new OpenAI({ baseURL: `${simulation.url}/v1`, apiKey: 'wrong', maxRetries: 0 }).models.list(),
    OpenAI.AuthenticationError,
  );
  await assert.rejects(
    openai.chat.completions.create({ model: 'gpt-none', messages: [{ role: 'user', content: 'x' }] }),
    OpenAI.NotFoundError,
  );
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-5.4-mini', messages: [] }), OpenAI.BadRequestError);
  const undo = simulation.rule({ credential: key, fault: { kind: 'rate_limited', retryAfterSeconds: 9 } });
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-5.4-mini', messages: [{ role: 'user', content: 'x' }] }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '9');
    return true;
  });
  undo();
  simulation.rule({ times: 1, fault: { kind: 'overloaded' } });
  await assert.rejects(
    anthropic.messages.create({ model: 'claude-haiku-4-5', max_tokens: 9, messages: [{ role: 'user', content: 'x' }] }),
    (error) => error instanceof Anthropic.APIError && error.status === 529,
  );
});

test('a call that breaks off, or whose reader leaves, is billed in full', async () => {
  const before = simulation.bill();
  simulation.rule({ times: 1, fault: { kind: 'reset_mid_stream', afterFrames: 3 } });
  const ask = { model: 'gpt-5.4-mini', messages: [{ role: 'user' as const, content: 'Hello' }], stream: true as const };
  await assert.rejects(async () => {
    for await (const _ of await openai.chat.completions.create(ask));
  });
  simulation.rule({ times: 1, conditions: { msPerToken: 50 } });
  const stream = await openai.chat.completions.create(ask);
  for await (const _ of stream) break;
  const bill = simulation.bill();
  assert.equal(bill.calls, before.calls + 2);
  const last = simulation.calls().at(-1);
  assert.equal(last?.pico, simulation.calls().at(-2)?.pico);
  assert.ok((last?.usage?.output ?? 0) > 10);
});

test('the bill is the price list times the usage, kept by credential', async () => {
  const before = simulation.bill().byCredential['second']?.pico ?? 0n;
  const other = new OpenAI({ baseURL: `${simulation.url}/v1`, apiKey: 'second', maxRetries: 0 });
  const answer = await other.chat.completions.create({ model: 'gpt-5.4-mini', messages: [{ role: 'user', content: 'Hello' }], n: 2 });
  const { prompt_tokens: input = 0, completion_tokens: output = 0 } = answer.usage ?? {};
  assert.equal(simulation.bill().byCredential['second']?.pico, before + BigInt(input) * 750_000n + BigInt(output) * 4_500_000n);
});

test('a price tells plain, cached and written input apart', () => {
  const model = simulatedModels.find((each) => each.name === 'claude-sonnet-5');
  assert.ok(model);
  const usage = { input: 100, cachedInput: 20, cacheWrite: 30, cacheWrite1h: 10, output: 5, reasoning: 2 };
  assert.equal(price(model, usage), 50n * 2_000_000n + 20n * 200_000n + 20n * 2_500_000n + 10n * 4_000_000n + 5n * 10_000_000n);
});
