import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, geminiAnswer, messagesAnswer, responsesAnswer } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * The same requests in other words: spellings that an API also takes, types that it takes for others, nested places, and answers that name
 * what only some providers bill.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];
const unmeterable = { refused: 'unmeterable_request' };
const priced = {
  models: [
    {
      name: 'm',
      maxOutputTokens: 4096,
      contextTokens: 100_000,
      pricePerMillion: { input: '2', output: '8' },
      pricePerThousand: { request: '5' },
    },
  ],
};

// Gemini.

const flash = { provider: 'Gemini', path: '/v1beta/models/gemini-2.5-flash:generateContent', outcome: 'exact' } as const;
const off = { thinkingConfig: { thinkingBudget: 0 } };
const ask = { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }], generationConfig: { maxOutputTokens: 100, ...off } };

function searched(queries: number): Answer {
  const groundingMetadata = { webSearchQueries: Array.from({ length: queries }, (_, at) => `q${at}`) };
  return {
    body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: 100 }, { groundingMetadata }),
    usd: (4 * 0.3 + 100 * 2.5) / million + 0.035,
  };
}

function filled(input: number): Answer {
  const usd = (input * 0.3 + 100 * 2.5) / million;
  return { body: geminiAnswer({ promptTokenCount: input, candidatesTokenCount: 100 }), usd };
}

const gemini: readonly Row[] = [
  { ...flash, name: 'one tool that is no list', body: { ...ask, tools: { googleSearch: {} } }, capUsd: 0.1, answer: () => searched(2) },
  {
    ...flash,
    name: 'a tool in both spellings',
    body: { ...ask, tools: [{ googleSearch: {}, google_search: {} }] },
    capUsd: 0.2,
    answer: () => searched(2),
  },
  {
    ...flash,
    name: 'two tools in one',
    body: { ...ask, tools: [{ googleSearch: {}, urlContext: {} }] },
    capUsd: 0.5,
    answer: () => searched(2),
  },
  { ...flash, name: 'a tool that is true', body: { ...ask, tools: [{ google_search: true }] }, capUsd: 0.1, answer: () => searched(1) },
  {
    ...flash,
    name: 'a tool that is null',
    body: { ...ask, tools: [{ googleSearch: null }] },
    capUsd: 0.001,
    answer: () => filled(4),
  },
  {
    ...flash,
    name: 'tools in both spellings of the config',
    body: { ...ask, generation_config: {} },
    outcome: { refused: 'INVALID_ARGUMENT' },
  },
  { ...flash, name: 'stored text', body: { ...ask, cachedContent: 'cachedContents/1' }, capUsd: 1.1, answer: () => filled(1_000_000) },
  {
    ...flash,
    name: 'stored text in snake case',
    body: { ...ask, cached_content: 'cachedContents/1' },
    capUsd: 1.1,
    answer: () => filled(1_000_000),
  },
  {
    ...flash,
    name: 'a file in snake case, without a list of contents or parts',
    body: { contents: { parts: { file_data: { file_uri: 'x', mime_type: 'application/pdf' } } }, generationConfig: ask.generationConfig },
    capUsd: 1.1,
    answer: () => filled(300_000),
  },
  ...['priority', 'PRIORITY', 'SERVICE_TIER_PRIORITY'].flatMap((tier) =>
    ['serviceTier', 'service_tier'].map(
      (field): Row => ({
        ...flash,
        name: `${field} ${tier}`,
        body: { ...ask, [field]: tier },
        capUsd: 0.003,
        answer: () => ({
          body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: 100, trafficType: 'ON_DEMAND_PRIORITY' }),
          usd: ((4 * 0.3 + 100 * 2.5) * 1.8) / million,
        }),
      }),
    ),
  ),
  { ...flash, name: 'a tier of no known price', body: { ...ask, service_tier: 'turbo' }, outcome: unmeterable },
  {
    ...flash,
    name: 'candidates in snake case',
    body: {
      contents: ask.contents,
      generation_config: { candidate_count: 4, max_output_tokens: 100, thinking_config: { thinking_budget: 0 } },
    },
    capUsd: 0.01,
    answer: () => ({ body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: 400 }), usd: (4 * 0.3 + 400 * 2.5) / million }),
  },
];

// OpenAI chat.

const chat = { path: '/v1/chat/completions', outcome: 'exact' } as const;
const body = { model: 'm', max_tokens: 100, messages: hi };
const usage = { prompt_tokens: 9, completion_tokens: 100 };
const standard = (9 * 2 + 100 * 8) / million + 0.005;

const openAi: readonly Row[] = [
  {
    ...chat,
    name: 'a cost that a server of unknown make claims',
    provider: 'OpenAICompatible',
    pool: priced,
    body,
    capUsd: 0.05,
    answer: () => ({ body: chatAnswer({ ...usage, cost: 0 }), usd: standard }),
  },
  ...(['OpenAI', 'AzureOpenAI', 'Mistral'] as const).map(
    (provider): Row => ({
      ...chat,
      name: `a fee for each request at ${provider}, and a cost that the answer claims`,
      provider,
      pool: priced,
      body,
      capUsd: 0.05,
      answer: () => ({ body: chatAnswer({ ...usage, cost: 0, total_cost: 9 }), usd: standard }),
    }),
  ),
  ...(['OpenAI', 'AzureOpenAI', 'OpenAICompatible', 'OpenRouter'] as const).map(
    (provider): Row => ({
      ...chat,
      name: `a search in chat at ${provider}, whose price the pool does not name`,
      provider,
      pool: priced,
      body: { ...body, web_search_options: {} },
      outcome: unmeterable,
    }),
  ),
  {
    ...chat,
    name: 'a search in chat of a model that searches in each call',
    provider: 'OpenAI',
    body: { ...body, model: 'gpt-4o-search-preview', web_search_options: { search_context_size: 'high' } },
    capUsd: 0.4,
    answer: () => ({ body: chatAnswer(usage), usd: 0.035 + (9 * 2.5 + 100 * 10) / million }),
  },
  ...(['OpenAI', 'OpenAICompatible'] as const).flatMap((provider): readonly Row[] =>
    ['web_search', 'browser_search', 'openrouter:web_search', 'mcp', 'code_interpreter', 'image_generation'].map(
      (type): Row => ({
        ...chat,
        name: `the tool ${type} in chat at ${provider}`,
        provider,
        pool: priced,
        body: { ...body, tools: [{ type }] },
        outcome: { refused: '403' },
      }),
    ),
  ),
  {
    ...chat,
    name: 'a search that a tool of a group runs',
    provider: 'OpenAI',
    path: '/v1/responses',
    body: {
      model: 'gpt-4.1-mini',
      max_output_tokens: 100,
      input: 'Hi',
      tools: [{ type: 'namespace', name: 'n', tools: [{ type: 'web_search_preview' }] }],
      max_tool_calls: 2,
    },
    capUsd: 0.2,
    answer: (sent) => {
      const output = [{ type: 'web_search_call', action: { type: 'search' } }];
      const used = { input_tokens: 500, output_tokens: 100 };
      return { body: responsesAnswer(used, { output, tools: sent['tools'] }), usd: (500 * 0.4 + 100 * 1.6) / million + 0.025 };
    },
  },
  {
    ...chat,
    name: 'pages that a search opens, which are free',
    provider: 'OpenAI',
    path: '/v1/responses',
    body: { model: 'gpt-4.1-mini', max_output_tokens: 100, input: 'Hi', tools: [{ type: 'web_search' }], max_tool_calls: 3 },
    capUsd: 0.5,
    answer: (sent) => {
      const output = ['search', 'open_page', 'find_in_page'].map((type) => ({ type: 'web_search_call', action: { type } }));
      const used = { input_tokens: 500, output_tokens: 100 };
      return { body: responsesAnswer(used, { output, tools: sent['tools'] }), usd: (500 * 0.4 + 100 * 1.6) / million + 0.01 };
    },
  },
  ...['background', 'prompt'].map(
    (field): Row => ({
      ...chat,
      name: `a response with ${field}`,
      provider: 'OpenAI',
      path: '/v1/responses',
      body: { model: 'gpt-4.1-mini', max_output_tokens: 100, input: 'Hi', [field]: field === 'background' ? true : { id: 'pmpt_1' } },
      outcome: unmeterable,
    }),
  ),
];

// Anthropic.

const claude = { provider: 'Anthropic', path: '/v1/messages', outcome: 'exact' } as const;
const haiku = { model: 'claude-haiku-4-5', max_tokens: 100, messages: hi };

function worked(sent: JsonObject, more: object, feeUsd: number): Answer {
  const output_tokens = Number(sent['max_tokens']);
  return { body: messagesAnswer({ input_tokens: 2000, output_tokens }, more), usd: (2000 + output_tokens * 5) / million + feeUsd };
}

const anthropic: readonly Row[] = [
  {
    ...claude,
    name: 'code that filters results, which is free',
    body: { ...haiku, tools: [{ type: 'web_fetch_20260209', name: 'web_fetch', max_uses: 1, max_content_tokens: 1000 }] },
    capUsd: 0.3,
    answer: (sent) => worked(sent, { content: [{ type: 'code_execution_tool_result', content: {} }], container: { id: 'c' } }, 0),
  },
  {
    ...claude,
    name: 'a tool with a model of its own',
    body: { ...haiku, tools: [{ type: 'advisor_20260301', name: 'a', model: 'claude-opus-4-6' }] },
    outcome: { refused: 'model_denied' },
  },
  {
    ...claude,
    name: 'a tool that nobody knows',
    body: { ...haiku, tools: [{ type: 'web_crawl_20270101', name: 'w' }] },
    outcome: { refused: '403' },
  },
  { ...claude, name: 'a fallback', body: { ...haiku, fallbacks: [{ model: 'claude-opus-4-6' }] }, outcome: { refused: '403' } },
  { ...claude, name: 'the fast speed of a model without a price of it', body: { ...haiku, speed: 'fast' }, outcome: { refused: '403' } },
  {
    ...claude,
    name: 'the fast speed',
    body: { ...haiku, model: 'claude-opus-4-6', speed: 'fast' },
    capUsd: 0.2,
    answer: (sent) => {
      const output_tokens = Number(sent['max_tokens']);
      const usd = ((9 * 5 + output_tokens * 25) * 6) / million;
      return { body: messagesAnswer({ input_tokens: 9, output_tokens, speed: 'fast' }), usd };
    },
  },
];

tryRows('Gemini in other words', gemini);
tryRows('chat and Responses in other words', openAi);
tryRows('Messages in other words', anthropic);
