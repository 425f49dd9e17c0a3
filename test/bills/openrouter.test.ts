import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, chatStream, messagesAnswer, messagesStream, responsesAnswer, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * OpenRouter chooses among hosts of different prices, and says itself what a call cost.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];

const r1 = { model: 'deepseek/deepseek-r1', max_tokens: 9000, messages: hi };
const sonnet = { model: 'anthropic/claude-sonnet-4.5', max_tokens: 500, messages: hi };
const router = { provider: 'OpenRouter', path: '/v1/chat/completions', capUsd: 0.1 } as const;
const judged = { refused: 'unmeterable_request' };

/** OpenRouter chooses the dearest host below the maximum that the request names. */
function dearHost(sent: JsonObject): Answer {
  const most = ((sent['provider'] as JsonObject | undefined)?.['max_price'] ?? {}) as {
    readonly prompt?: number;
    readonly completion?: number;
  };
  const usd = (1000 * Math.min(3, most.prompt ?? 3) + 9000 * Math.min(8, most.completion ?? 8)) / million;
  return { body: chatAnswer({ prompt_tokens: 1000, completion_tokens: 9000, cost: usd }), usd };
}

const openRouter: readonly Row[] = [
  { ...router, name: 'a host that the request chooses', body: { ...r1, provider: { only: ['dear'] } }, outcome: judged },
  { ...router, name: 'an order of hosts', body: { ...r1, provider: { order: ['dear'] } }, outcome: judged },
  { ...router, name: 'hosts by throughput', body: { ...r1, provider: { sort: 'throughput' } }, outcome: judged },
  { ...router, name: 'hosts of one precision', body: { ...r1, provider: { quantizations: ['fp8'] } }, outcome: judged },
  {
    ...router,
    name: 'a host that OpenRouter chooses',
    body: { ...r1, messages: [{ role: 'user', content: 'word '.repeat(1000) }] },
    answer: dearHost,
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a dear host that the request allows',
    body: { ...r1, provider: { max_price: { prompt: 100, completion: 100 } }, messages: [{ role: 'user', content: 'word '.repeat(1000) }] },
    answer: dearHost,
    outcome: 'exact',
  },
  { ...router, name: 'the web plugin', body: { ...r1, plugins: [{ id: 'web' }] }, outcome: judged },
  { ...router, name: 'a server tool', body: { ...r1, tools: [{ type: 'openrouter:web_search' }] }, outcome: { refused: '403' } },
  ...[
    { path: '/v1/responses', body: { model: r1.model, input: 'Hi', max_output_tokens: 100 } },
    { path: '/v1/embeddings', body: { model: r1.model, input: 'Hi' } },
  ].map(
    ({ path, body }): Row => ({
      ...router,
      name: `a host at ${path}`,
      path,
      body: { ...body, provider: { only: ['dear'] } },
      outcome: judged,
    }),
  ),
  ...['openai/gpt-4o:online', 'openai/gpt-4o:nitro', 'openrouter/auto', '@preset/mine', 'openai/gpt-4o@preset/mine'].map(
    (model): Row => ({ ...router, name: `the name ${model}`, body: { ...r1, model }, outcome: { refused: '403' } }),
  ),
  ...[
    { models: ['openai/o1-pro'] },
    { route: 'fallback' },
    { preset: 'mine' },
    { plugins: [{ id: 'file-parser', pdf: { engine: 'mistral-ocr' } }] },
  ].map((more): Row => ({ ...router, name: `chat with ${Object.keys(more)}`, body: { ...r1, ...more }, outcome: { refused: '403' } })),
  {
    ...router,
    name: 'plugins of Responses',
    path: '/v1/responses',
    body: { model: r1.model, input: 'Hi', plugins: [{ id: 'web' }] },
    outcome: judged,
  },
  {
    ...router,
    name: 'plugins of Messages',
    path: '/v1/messages',
    body: { ...sonnet, plugins: [{ id: 'web' }] },
    outcome: { refused: '403' },
  },
  {
    ...router,
    name: 'a host of Messages',
    path: '/v1/messages',
    body: { ...sonnet, provider: { only: ['dear'] } },
    outcome: { refused: '403' },
  },
  { ...router, name: 'a preset of Messages', path: '/v1/messages', body: { ...sonnet, preset: 'x' }, outcome: { refused: '403' } },
  { ...router, name: 'a route of Messages', path: '/v1/messages', body: { ...sonnet, route: 'fallback' }, outcome: { refused: '403' } },
  {
    ...router,
    name: 'models of Messages',
    path: '/v1/messages',
    body: { ...sonnet, models: ['openai/o1-pro'] },
    outcome: { refused: '403' },
  },
  {
    ...router,
    name: 'a cost that the answer names',
    body: { model: 'perplexity/sonar', max_tokens: 200, messages: hi },
    answer: () => ({ body: chatAnswer({ prompt_tokens: 14, completion_tokens: 200, cost: 0.005214 }), usd: 0.005214 }),
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a cost that a stream names',
    body: { model: 'perplexity/sonar', max_tokens: 200, stream: true, messages: hi },
    answer: () => ({ type: sse, body: chatStream({ prompt_tokens: 14, completion_tokens: 200, cost: 0.005214 }), usd: 0.005214 }),
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a cost of nothing',
    body: { ...r1, max_tokens: 9000 },
    answer: () => ({ body: chatAnswer({ prompt_tokens: 14, completion_tokens: 200, cost: 0 }), usd: 0 }),
    outcome: 'exact',
    serves: 30,
  },
  {
    ...router,
    name: 'the cost of the account’s own key',
    body: { model: 'perplexity/sonar', max_tokens: 200, messages: hi },
    answer: () => {
      const cost = { cost: 0.0003, is_byok: true, cost_details: { upstream_inference_cost: 0.006 } };
      return { body: chatAnswer({ prompt_tokens: 14, completion_tokens: 200, ...cost }), usd: 0.0063 };
    },
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a cost of Responses',
    path: '/v1/responses',
    body: { model: 'perplexity/sonar', input: 'Hi', max_output_tokens: 200 },
    answer: () => ({ body: responsesAnswer({ input_tokens: 14, output_tokens: 200, cost: 0.0052 }), usd: 0.0052 }),
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a cost of Messages',
    path: '/v1/messages',
    body: sonnet,
    answer: () => ({ body: messagesAnswer({ input_tokens: 14, output_tokens: 200, cost: 0.0032 }), usd: 0.0032 }),
    outcome: 'exact',
  },
  {
    ...router,
    name: 'a cost of a stream of Messages',
    path: '/v1/messages',
    body: { ...sonnet, stream: true },
    answer: () => ({ type: sse, body: messagesStream({ input_tokens: 14, output_tokens: 200, cost: 0.0032 }), usd: 0.0032 }),
    outcome: 'exact',
  },
];

tryRows('OpenRouter', openRouter);
