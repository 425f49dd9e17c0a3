import assert from 'node:assert/strict';
import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, geminiAnswer, messagesAnswer, responsesAnswer } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Tools that run at the provider are served although their cost is not in the bytes of the request, with a cap near their bound. What
 * continues an answer of known size is in `test/bounds.test.ts`.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];

// Gemini.

const flash = '/v1beta/models/gemini-2.5-flash';
const off = { thinkingConfig: { thinkingBudget: 0 } };
const ask = { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }], generationConfig: { maxOutputTokens: 100, ...off } };
const gemini = { provider: 'Gemini', path: `${flash}:generateContent`, outcome: 'exact' } as const;

/** An answer with this much more input, and searches. */
function grounded(extra: number, { searches = 0, feeUsd = 0, rates = [0.3, 2.5] as readonly [number, number] }): Answer {
  const usage = { promptTokenCount: 4, toolUsePromptTokenCount: extra, candidatesTokenCount: 100 };
  const webSearchQueries = Array.from({ length: searches }, (_, at) => `query ${at}`);
  const more = searches === 0 ? {} : { groundingMetadata: { webSearchQueries } };
  return { body: geminiAnswer(usage, more), usd: ((4 + extra) * rates[0] + 100 * rates[1]) / million + feeUsd };
}

const geminiTools: readonly Row[] = [
  ...(['googleSearch', 'google_search', 'googleSearchRetrieval'] as const).map(
    (name): Row => ({
      ...gemini,
      name: `${name} of Gemini 2.5, $35 per 1,000 prompts`,
      body: { ...ask, tools: [{ [name]: {} }] },
      capUsd: 0.1,
      answer: () => grounded(0, { searches: 3, feeUsd: 0.035 }),
    }),
  ),
  {
    ...gemini,
    name: 'googleMaps, $25 per 1,000 prompts',
    body: { ...ask, tools: [{ googleMaps: {} }] },
    capUsd: 0.1,
    answer: () => {
      const { body, usd } = grounded(0, { feeUsd: 0.025 });
      const [candidate] = (body as { readonly candidates: readonly object[] }).candidates;
      const groundingMetadata = { groundingChunks: [{ maps: { uri: 'x', placeId: 'y' } }, { maps: { uri: 'z' } }] };
      return { body: { ...(body as object), candidates: [{ ...candidate, groundingMetadata }] }, usd };
    },
  },
  {
    ...gemini,
    name: 'a search that was not needed',
    body: { ...ask, tools: [{ googleSearch: {} }] },
    capUsd: 0.1,
    serves: 36,
    answer: () => grounded(0, {}),
  },
  {
    ...gemini,
    name: 'googleSearch of Gemini 3, $14 per 1,000 searches',
    path: '/v1beta/models/gemini-3.5-flash:generateContent',
    body: { contents: ask.contents, generationConfig: { maxOutputTokens: 9300 }, tools: [{ googleSearch: {} }] },
    capUsd: 0.6,
    answer: () => grounded(0, { searches: 7, feeUsd: 7 * 0.014, rates: [1.5, 9] }),
  },
  {
    ...gemini,
    name: 'urlContext, which reads pages up to the context',
    body: { ...ask, tools: [{ urlContext: {} }] },
    capUsd: 0.4,
    answer: () => grounded(200_000, {}),
  },
  {
    ...gemini,
    name: 'url_context beside google_search',
    body: { ...ask, tools: [{ url_context: {} }, { google_search: {} }] },
    capUsd: 0.4,
    answer: () => grounded(100_000, { searches: 2, feeUsd: 0.035 }),
  },
  {
    ...gemini,
    name: 'codeExecution',
    body: { ...ask, tools: [{ codeExecution: {} }] },
    capUsd: 2.5,
    answer: () => grounded(50_000, {}),
  },
  {
    ...gemini,
    name: 'code_execution of the lite model',
    path: '/v1beta/models/gemini-2.5-flash-lite:generateContent',
    body: { ...ask, tools: [{ code_execution: {} }] },
    capUsd: 0.8,
    answer: () => grounded(50_000, { rates: [0.1, 0.4] }),
  },
  {
    ...gemini,
    name: 'a tool that nobody knows',
    body: { ...ask, tools: [{ quantumSearch: {} }] },
    outcome: { refused: 'unmeterable_request' },
  },
];

// Anthropic.

const haiku = { model: 'claude-haiku-4-5', max_tokens: 100, messages: hi };
const claude = { provider: 'Anthropic', path: '/v1/messages', outcome: 'exact' } as const;

function messaged(input: number, more: object, feeUsd: number): () => Answer {
  return () => ({ body: messagesAnswer({ input_tokens: input, output_tokens: 100, ...more }), usd: (input + 500) / million + feeUsd });
}

const anthropicTools: readonly Row[] = [
  {
    ...claude,
    name: 'web_fetch with a limit of uses and of content',
    body: { ...haiku, tools: [{ type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 3, max_content_tokens: 5000 }] },
    capUsd: 0.25,
    answer: messaged(40_000, { server_tool_use: { web_fetch_requests: 3 } }, 0),
  },
  {
    ...claude,
    name: 'web_search with a limit of uses',
    body: { ...haiku, tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 2 }] },
    capUsd: 1.2,
    answer: messaged(40_000, { server_tool_use: { web_search_requests: 2 } }, 0.02),
  },
  {
    ...claude,
    name: 'web_search with a limit of more uses than the budget pays for',
    body: { ...haiku, tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 8 }] },
    capUsd: 1.2,
    answer: (sent) => {
      const [tool] = sent['tools'] as readonly [{ readonly max_uses: number }];
      assert.ok(tool.max_uses < 8);
      return messaged(40_000, { server_tool_use: { web_search_requests: tool.max_uses } }, tool.max_uses * 0.01)();
    },
  },
  {
    ...claude,
    name: 'web_search without a limit',
    body: { ...haiku, tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    capUsd: 1.2,
    answer: (sent) => {
      const [tool] = sent['tools'] as readonly [{ readonly max_uses: number }];
      const searches = tool.max_uses;
      return messaged(40_000, { server_tool_use: { web_search_requests: searches } }, searches * 0.01)();
    },
  },
  {
    ...claude,
    name: 'code_execution',
    body: { ...haiku, tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] },
    capUsd: 2.5,
    answer: () => {
      const content = [{ type: 'bash_code_execution_tool_result', tool_use_id: 'x', content: {} }];
      return { body: messagesAnswer({ input_tokens: 60_000, output_tokens: 100 }, { content }), usd: 60_500 / million + 0.05 };
    },
  },
  {
    ...claude,
    name: 'compaction that has nothing to compact',
    body: { ...haiku, context_management: { edits: [{ type: 'compact_20260112' }] } },
    headers: { 'anthropic-beta': 'compact-2026-01-12' },
    capUsd: 0.02,
    answer: messaged(9, {}, 0),
  },
  {
    ...claude,
    name: 'compaction of a long conversation',
    body: {
      ...haiku,
      messages: [{ role: 'user', content: 'word '.repeat(40_000) }],
      context_management: { edits: [{ type: 'compact_20260112', trigger: { type: 'input_tokens', value: 50_000 } }] },
    },
    capUsd: 1.5,
    answer: () => {
      const iterations = [
        { type: 'compaction', input_tokens: 60_000, output_tokens: 3000 },
        { type: 'message', input_tokens: 4000, output_tokens: 100 },
      ];
      const usd = (64_000 + 3100 * 5) / million;
      return { body: messagesAnswer({ input_tokens: 4000, output_tokens: 100, iterations }), usd };
    },
  },
];

// OpenAI.

const responses = { provider: 'OpenAI', path: '/v1/responses', outcome: 'exact' } as const;
const mini = { model: 'gpt-4.1-mini', input: 'Hi', max_output_tokens: 100 };

/** Items of output, the tools that a response repeats, and what it costs beside 10,000 tokens. */
function ran(sent: JsonObject, output: readonly object[], feeUsd: number): Answer {
  const usage = { input_tokens: 10_000, output_tokens: 100 };
  return { body: responsesAnswer(usage, { output, tools: sent['tools'] }), usd: (10_000 * 0.4 + 100 * 1.6) / million + feeUsd };
}

const openAiTools: readonly Row[] = [
  {
    ...responses,
    name: 'twenty previews of a search, whose results are free',
    body: { ...mini, model: 'gpt-4o', tools: [{ type: 'web_search_preview' }], max_tool_calls: 20 },
    capUsd: 0.52,
    answer: (sent) => {
      const output = Array.from({ length: 20 }, () => ({ type: 'web_search_call', action: { type: 'search' } }));
      return { body: responsesAnswer({ input_tokens: 400, output_tokens: 100 }, { output, tools: sent['tools'] }), usd: 0.002 + 0.5 };
    },
  },
  {
    ...responses,
    name: 'file_search',
    body: { ...mini, tools: [{ type: 'file_search', vector_store_ids: ['vs_1'], max_num_results: 5 }], max_tool_calls: 2 },
    capUsd: 0.12,
    answer: (sent) => ran(sent, [{ type: 'file_search_call' }, { type: 'file_search_call' }], 0.005),
  },
  {
    ...responses,
    name: 'file_search with a limit of more calls than the budget pays for',
    body: { ...mini, tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }], max_tool_calls: 40 },
    capUsd: 0.3,
    answer: (sent) => {
      const calls = Number(sent['max_tool_calls']);
      assert.ok(calls < 40);
      const output = Array.from({ length: calls }, () => ({ type: 'file_search_call' }));
      return ran(sent, output, calls * 0.0025);
    },
  },
  {
    ...responses,
    name: 'file_search without limits',
    body: { ...mini, tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] },
    capUsd: 0.3,
    answer: (sent) =>
      ran(
        sent,
        Array.from({ length: Number(sent['max_tool_calls']) }, () => ({ type: 'file_search_call' })),
        Number(sent['max_tool_calls']) * 0.0025,
      ),
  },
  {
    ...responses,
    name: 'code_interpreter',
    body: { ...mini, tools: [{ type: 'code_interpreter', container: { type: 'auto' } }], max_tool_calls: 2 },
    capUsd: 1,
    answer: (sent) =>
      ran(
        sent,
        [
          { type: 'code_interpreter_call', container_id: 'c1' },
          { type: 'code_interpreter_call', container_id: 'c1' },
        ],
        0.03,
      ),
  },
  {
    ...responses,
    name: 'code_interpreter without a limit',
    body: { ...mini, tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] },
    capUsd: 1,
    answer: (sent) => ran(sent, [{ type: 'code_interpreter_call', container_id: 'c1' }], 0.03),
  },
  {
    ...responses,
    name: 'mcp without a limit',
    body: { ...mini, tools: [{ type: 'mcp', server_label: 'x', server_url: 'https://x', require_approval: 'never' }] },
    capUsd: 1,
    answer: (sent) => ran(sent, [{ type: 'mcp_list_tools' }, { type: 'mcp_call' }], 0),
  },
  {
    name: 'a predicted output',
    provider: 'OpenAI',
    path: '/v1/chat/completions',
    body: { model: 'gpt-4.1-mini', max_tokens: 1000, messages: hi, prediction: { type: 'content', content: 'word '.repeat(1000) } },
    capUsd: 0.02,
    outcome: 'exact',
    answer: () => ({
      body: chatAnswer({ prompt_tokens: 9, completion_tokens: 1200, completion_tokens_details: { accepted_prediction_tokens: 900 } }),
      usd: (9 * 0.4 + 1200 * 1.6) / million,
    }),
  },
];

tryRows('tools that run at the provider', [...geminiTools, ...anthropicTools, ...openAiTools]);
