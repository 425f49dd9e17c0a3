import assert from 'node:assert/strict';
import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, geminiAnswer, messagesAnswer, messagesStream, responsesAnswer, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Limits of output and of thinking that the funds lower. The limits themselves are rows of `core/price/output-limit.test.ts`, and whole
 * agents are in `test/fleet.test.ts`.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];

const gemini = { provider: 'Gemini', path: '/v1beta/models/gemini-2.5-flash:generateContent', outcome: 'exact' } as const;
const claude = { provider: 'Anthropic', path: '/v1/messages', outcome: 'exact' } as const;
const contents = [{ role: 'user', parts: [{ text: 'Hi' }] }];
const sonnet = { model: 'claude-sonnet-4-5', messages: hi };

/** Anthropic: `max_tokens` is above the budget, and the budget 1,024 at least. */
function thinks(sent: JsonObject): Answer {
  const budget = Number((sent['thinking'] as JsonObject)['budget_tokens']);
  const limit = Number(sent['max_tokens']);
  assert.ok(limit > budget && budget >= 1024, `max_tokens ${limit} beside ${budget}`);
  const usage = { input_tokens: 9, output_tokens: limit };
  const usd = (9 * 3 + limit * 15) / million;
  return sent['stream'] === true ? { type: sse, body: messagesStream(usage), usd } : { body: messagesAnswer(usage), usd };
}

/** Gemini: thoughts count within `maxOutputTokens`, and an answer that is all thought says nothing. */
function thinksWithin(sent: JsonObject): Answer {
  const config = (sent['generationConfig'] ?? sent['generation_config']) as JsonObject;
  const thinking = (config['thinkingConfig'] ?? config['thinking_config']) as JsonObject;
  const budget = Number(thinking['thinkingBudget'] ?? thinking['thinking_budget']);
  const limit = Number(config['maxOutputTokens'] ?? config['max_output_tokens']);
  assert.ok(limit > budget, `maxOutputTokens ${limit} beside ${budget}`);
  return {
    body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: limit - budget, thoughtsTokenCount: budget }),
    usd: (4 * 0.3 + limit * 2.5) / million,
  };
}

const thinking = { max_tokens: 32_000, thinking: { type: 'enabled', budget_tokens: 16_000 } };
const lowered: readonly Row[] = [
  { ...claude, name: 'a thinking budget under a lowered limit', body: { ...sonnet, ...thinking }, capUsd: 0.14, answer: thinks },
  { ...claude, name: 'the same in a stream', body: { ...sonnet, ...thinking, stream: true }, capUsd: 0.14, answer: thinks },
  {
    ...claude,
    name: 'a thinking budget, and money for next to nothing',
    body: { ...sonnet, ...thinking },
    capUsd: 0.01,
    outcome: { refused: 'request_too_expensive' },
  },
  {
    ...claude,
    name: 'a thinking budget through OpenRouter',
    provider: 'OpenRouter',
    body: { ...sonnet, model: 'anthropic/claude-sonnet-4.5', ...thinking },
    capUsd: 0.14,
    answer: thinks,
  },
  {
    ...gemini,
    name: 'a thinking budget of Gemini under a lowered limit',
    body: { contents, generationConfig: { maxOutputTokens: 60_000, thinkingConfig: { thinkingBudget: 20_000 } } },
    capUsd: 0.03,
    answer: thinksWithin,
  },
  {
    ...gemini,
    name: 'the same in snake case',
    body: { contents, generation_config: { max_output_tokens: 60_000, thinking_config: { thinking_budget: 20_000 } } },
    capUsd: 0.03,
    answer: thinksWithin,
  },
  {
    ...gemini,
    name: 'a thinking budget of Gemini without a limit',
    body: { contents, generationConfig: { thinkingConfig: { thinkingBudget: 20_000 } } },
    capUsd: 0.03,
    answer: thinksWithin,
  },
  {
    ...claude,
    name: 'a cache that is filled',
    body: { ...sonnet, max_tokens: 0, system: [{ type: 'text', text: 'word '.repeat(2000), cache_control: { type: 'ephemeral' } }] },
    capUsd: 0.1,
    answer: (sent) => {
      assert.equal(sent['max_tokens'], 0);
      return {
        body: messagesAnswer({ input_tokens: 3, cache_creation_input_tokens: 2000, output_tokens: 0 }),
        usd: (3 * 3 + 2000 * 3.75) / million,
      };
    },
  },
  { ...claude, name: 'less than nothing', body: { ...sonnet, max_tokens: -1 }, outcome: { refused: 'invalid_request' } },
  { ...claude, name: 'half a token', body: { ...sonnet, max_tokens: 0.5 }, outcome: { refused: 'invalid_request' } },
  {
    name: 'nothing, of a dialect that does not know it',
    provider: 'OpenAI',
    path: '/v1/chat/completions',
    body: { model: 'gpt-4.1-mini', max_tokens: 0, messages: hi },
    outcome: { refused: 'invalid_request' },
  },
  // What LangChain and LiteLLM send unasked: the most that the model can write.
  ...(
    [
      ['claude-sonnet-4-5', 64_000, 3, 15],
      ['claude-opus-4-1', 32_000, 15, 75],
      ['claude-haiku-4-5', 64_000, 1, 5],
      ['claude-sonnet-4-6', 128_000, 3, 15],
      ['claude-opus-4-6', 128_000, 5, 25],
    ] as const
  ).map(
    ([model, max_tokens, input, output]): Row => ({
      ...claude,
      name: `the largest limit of ${model}`,
      body: { model, max_tokens, messages: hi },
      parallel: 4,
      serves: 3,
      answer: (sent) => {
        assert.ok(Number(sent['max_tokens']) >= 1024);
        return { body: messagesAnswer({ input_tokens: 9, output_tokens: 200 }), usd: (9 * input + 200 * output) / million };
      },
    }),
  ),
];

/** OpenRouter: the limit is above the budget of reasoning, whichever dialect names it. */
function reasons(sent: JsonObject): Answer {
  const budget = Number((sent['reasoning'] as JsonObject)['max_tokens']);
  const limit = Number(sent['max_tokens'] ?? sent['max_output_tokens']);
  assert.ok(limit > budget && budget >= 1024, `a limit of ${limit} beside ${budget}`);
  const usd = (9 * 3 + limit * 15) / million;
  return sent['input'] === undefined
    ? { body: chatAnswer({ prompt_tokens: 9, completion_tokens: limit, cost: usd }), usd }
    : { body: responsesAnswer({ input_tokens: 9, output_tokens: limit, cost: usd }), usd };
}

const routed = { provider: 'OpenRouter', capUsd: 0.2, answer: reasons, outcome: 'exact' } as const;
const reasoning = { model: 'anthropic/claude-sonnet-4.5', reasoning: { max_tokens: 16_000 } };

const others: readonly Row[] = [
  {
    ...routed,
    name: 'a budget of reasoning in chat',
    path: '/v1/chat/completions',
    body: { ...reasoning, messages: hi, max_tokens: 32_000 },
  },
  { ...routed, name: 'the same without a limit', path: '/v1/chat/completions', body: { ...reasoning, messages: hi } },
  {
    ...routed,
    name: 'a budget of reasoning in Responses',
    path: '/v1/responses',
    body: { ...reasoning, input: 'Hi', max_output_tokens: 32_000 },
  },
  ...['gpt-5.4', 'gpt-5.4-mini', 'gpt-4.1'].map(
    (model): Row => ({
      name: `the largest limit of ${model}`,
      provider: 'OpenAI',
      path: '/v1/chat/completions',
      body: { model, max_completion_tokens: model === 'gpt-4.1' ? 32_768 : 128_000, messages: hi },
      parallel: 4,
      serves: 3,
      answer: (sent) => {
        assert.ok(Number(sent['max_completion_tokens']) >= 1024);
        const [input, output] = model === 'gpt-5.4' ? [2.5, 15] : model === 'gpt-4.1' ? [2, 8] : [0.75, 4.5];
        return { body: chatAnswer({ prompt_tokens: 9, completion_tokens: 200 }), usd: (9 * input + 200 * output) / million };
      },
      outcome: 'exact',
    }),
  ),
  {
    ...gemini,
    name: 'the largest limit of gemini-2.5-pro',
    path: '/v1beta/models/gemini-2.5-pro:generateContent',
    body: { contents, generationConfig: { maxOutputTokens: 65_536 } },
    parallel: 4,
    serves: 3,
    answer: () => ({ body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: 200 }), usd: (4 * 1.25 + 200 * 10) / million }),
  },
];

tryRows('limits that are lowered', [...lowered, ...others]);
