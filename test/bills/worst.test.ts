import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, geminiAnswer, messagesAnswer, responsesAnswer } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * The worst that a provider may bill by its rules: each byte of the body is a token of its dearest class, each answer is as long as its limit,
 * and long prompts reach their tier. Bounds by the demand alone are properties in `core/price/bound.test.ts`.
 */

const million = 1_000_000;
const long = (bytes: number): string => 'x'.repeat(bytes);

// Anthropic: cache writes of an hour, asked for anywhere.

const hour = { cache_control: { type: 'ephemeral', ttl: '1h' } };
const text = (more: object = {}): object => ({ type: 'text', text: long(20_000), ...more });
const user = (...content: readonly object[]): object => ({ messages: [{ role: 'user', content }] });
const used = { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: {} }] };

const places: readonly (readonly [string, object])[] = [
  ['the request', { ...user(text()), ...hour }],
  ['the system prompt', { system: [text(hour)], ...user({ type: 'text', text: 'Hi' }) }],
  ['a message', user(text(hour))],
  [
    'a tool',
    { tools: [{ name: 'f', description: long(20_000), input_schema: { type: 'object' }, ...hour }], ...user({ type: 'text', text: 'Hi' }) },
  ],
  ['a tool that Anthropic describes', { tools: [{ type: 'bash_20250124', name: 'bash', ...hour }], ...user(text()) }],
  [
    'a result of a tool',
    { messages: [used, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: [text(hour)] }] }] },
  ],
  ['a document', user({ type: 'document', source: { type: 'text', media_type: 'text/plain', data: long(20_000) }, ...hour })],
  ['a block in a document', user({ type: 'document', source: { type: 'content', content: [text(hour)] } })],
  ['a search result', user({ type: 'search_result', source: 'x', title: 'x', content: [text(hour)] })],
];

/** Everything is written for an hour, at $2 a million. */
function written(sent: JsonObject, bytes: number): Answer {
  const output_tokens = Number(sent['max_tokens']);
  const cache_creation = { ephemeral_1h_input_tokens: bytes, ephemeral_5m_input_tokens: 0 };
  const usage = { input_tokens: 0, cache_creation_input_tokens: bytes, cache_creation, output_tokens };
  return { body: messagesAnswer(usage), usd: (bytes * 2 + output_tokens * 5) / million };
}

const caching = places.map(
  ([where, body]): Row => ({
    name: `an hour in the cache, asked for in ${where}`,
    provider: 'Anthropic',
    path: '/v1/messages',
    body: { model: 'claude-haiku-4-5', max_tokens: 100, ...body },
    capUsd: 0.2,
    answer: written,
    outcome: 'exact',
  }),
);

/** The same through OpenRouter, in each dialect that it speaks. */
function routed(sent: JsonObject, bytes: number): Answer {
  const output = Number(sent['max_tokens'] ?? sent['max_output_tokens']);
  const usd = (bytes * 2 + output * 5) / million;
  if (sent['input'] !== undefined) return { body: responsesAnswer({ input_tokens: bytes, output_tokens: output, cost: usd }), usd };
  return { body: chatAnswer({ prompt_tokens: bytes, completion_tokens: output, cost: usd }), usd };
}

const definition = { name: 'f', description: long(20_000), parameters: { type: 'object' } };
const routes: readonly (readonly [where: string, path: string, body: object])[] = [
  ['chat', '/v1/chat/completions', { max_tokens: 100, ...user(text()), ...hour }],
  ['a message of chat', '/v1/chat/completions', { max_tokens: 100, ...user(text(hour)) }],
  ['a message itself', '/v1/chat/completions', { max_tokens: 100, messages: [{ role: 'user', content: long(20_000), ...hour }] }],
  [
    'a tool of chat',
    '/v1/chat/completions',
    { max_tokens: 100, ...user({ type: 'text', text: 'Hi' }), tools: [{ type: 'function', function: definition, ...hour }] },
  ],
  [
    'a function of chat',
    '/v1/chat/completions',
    { max_tokens: 100, ...user({ type: 'text', text: 'Hi' }), tools: [{ type: 'function', function: { ...definition, ...hour } }] },
  ],
  ['a result of chat', '/v1/chat/completions', { max_tokens: 100, messages: [{ role: 'tool', tool_call_id: 't', content: [text(hour)] }] }],
  ['a response', '/v1/responses', { max_output_tokens: 100, input: long(20_000), ...hour }],
  [
    'an item of a response',
    '/v1/responses',
    { max_output_tokens: 100, input: [{ role: 'user', content: [{ type: 'input_text', text: long(20_000), ...hour }] }] },
  ],
  ['a tool of a response', '/v1/responses', { max_output_tokens: 100, input: 'Hi', tools: [{ type: 'function', ...definition, ...hour }] }],
];

const routedCaching = routes.map(
  ([where, path, body]): Row => ({
    name: `an hour in the cache through OpenRouter, asked for in ${where}`,
    provider: 'OpenRouter',
    path,
    body: { model: 'anthropic/claude-haiku-4.5', ...body },
    capUsd: 0.2,
    answer: routed,
    outcome: 'exact',
  }),
);

// Tiers and counts.

function chatted(rates: readonly [number, number]): (sent: JsonObject, bytes: number) => Answer {
  return (sent, bytes) => {
    const completion_tokens = Number(sent['max_completion_tokens'] ?? sent['max_tokens']) * Number(sent['n'] ?? 1);
    const usage = { prompt_tokens: bytes, completion_tokens };
    return { body: chatAnswer(usage), usd: (bytes * rates[0] + completion_tokens * rates[1]) / million };
  };
}

const chat = { path: '/v1/chat/completions', outcome: 'exact' } as const;
const messages = (bytes: number): object => ({ messages: [{ role: 'user', content: long(bytes) }] });

const whole: readonly Row[] = [
  {
    ...chat,
    name: 'chat',
    provider: 'OpenAI',
    body: { model: 'gpt-4.1-mini', max_completion_tokens: 500, ...messages(20_000) },
    capUsd: 0.1,
    answer: chatted([0.4, 1.6]),
  },
  {
    ...chat,
    name: 'five answers of chat',
    provider: 'OpenAI',
    body: { model: 'gpt-4.1-mini', max_completion_tokens: 500, n: 5, ...messages(20_000) },
    capUsd: 0.1,
    answer: chatted([0.4, 1.6]),
  },
  {
    ...chat,
    name: 'a prompt of the long tier',
    provider: 'OpenAI',
    body: { model: 'gpt-5.4', max_completion_tokens: 500, ...messages(280_000) },
    capUsd: 4,
    answer: chatted([5, 22.5]),
  },
  {
    ...chat,
    name: 'a prompt of escapes',
    provider: 'OpenAI',
    body: `{"model":"gpt-4.1-mini","max_completion_tokens":10,"messages":[{"role":"user","content":"${'\\u4f60'.repeat(5000)}"}]}`,
    capUsd: 0.1,
    answer: chatted([0.4, 1.6]),
  },
  {
    ...chat,
    name: 'definitions of tools',
    provider: 'OpenAI',
    body: {
      model: 'gpt-4.1-mini',
      max_completion_tokens: 10,
      ...messages(10),
      tools: Array.from({ length: 200 }, (_, at) => ({ type: 'function', function: { name: `f${at}`, parameters: { type: 'object' } } })),
    },
    capUsd: 0.1,
    answer: chatted([0.4, 1.6]),
  },
  {
    name: 'a response',
    provider: 'OpenAI',
    path: '/v1/responses',
    body: { model: 'gpt-4.1-mini', max_output_tokens: 500, input: long(20_000), instructions: long(5000) },
    capUsd: 0.1,
    answer: (sent, bytes) => {
      const output_tokens = Number(sent['max_output_tokens']);
      return { body: responsesAnswer({ input_tokens: bytes, output_tokens }), usd: (bytes * 0.4 + output_tokens * 1.6) / million };
    },
    outcome: 'exact',
  },
  {
    name: 'embeddings of token ids',
    provider: 'OpenAI',
    path: '/v1/embeddings',
    body: { model: 'text-embedding-3-large', input: Array.from({ length: 50 }, () => Array.from({ length: 500 }, () => 7)) },
    capUsd: 0.02,
    answer: () => ({
      body: { data: [], model: 'm', usage: { prompt_tokens: 25_000, total_tokens: 25_000 } },
      usd: (25_000 * 0.13) / million,
    }),
    outcome: 'exact',
  },
  {
    name: 'a prompt of Gemini in the long tier',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-pro:generateContent',
    body: {
      contents: [{ role: 'user', parts: [{ text: long(205_000) }] }],
      generationConfig: { maxOutputTokens: 2000, thinkingConfig: { thinkingBudget: 500 } },
    },
    capUsd: 1.5,
    answer: (sent, bytes) => {
      const count = Number((sent['generationConfig'] as JsonObject)['maxOutputTokens']);
      const usage = { promptTokenCount: bytes, candidatesTokenCount: count - 500, thoughtsTokenCount: 500 };
      return { body: geminiAnswer(usage), usd: (bytes * 2.5 + count * 15) / million };
    },
    outcome: 'exact',
  },
  // The long context was sold with this header until 30 April 2026 (platform.claude.com/docs/en/release-notes/overview); a gateway may still sell it.
  ...['claude-sonnet-4-20250514', 'claude-sonnet-4-5'].map(
    (model): Row => ({
      name: `a prompt of ${model} in the long tier`,
      provider: 'Anthropic',
      path: '/v1/messages',
      body: { model, max_tokens: 200, ...messages(210_000) },
      headers: { 'anthropic-beta': 'context-1m-2025-08-07' },
      capUsd: 3,
      answer: (sent, bytes) => {
        const output_tokens = Number(sent['max_tokens']);
        return { body: messagesAnswer({ input_tokens: bytes, output_tokens }), usd: (bytes * 6 + output_tokens * 22.5) / million };
      },
      outcome: 'exact',
    }),
  ),
  ...(['Mistral', 'OpenRouter', 'OpenAICompatible', 'AzureOpenAI'] as const).map(
    (provider): Row => ({
      ...chat,
      name: `chat at ${provider}, with a preamble of its own`,
      provider,
      pool: { models: [{ name: 'm', maxOutputTokens: 4096, pricePerMillion: { input: '2', output: '8' } }] },
      body: { model: 'm', max_tokens: 100, ...messages(2000) },
      capUsd: 0.05,
      answer: chatted([2, 8]),
    }),
  ),
];

tryRows('an hour in the cache', [...caching, ...routedCaching]);
tryRows('each byte is a token', whole);
