import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, chatStream, geminiAnswer, messagesAnswer, messagesStream, responsesAnswer, responsesStream, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * What costs more than the tokens of text of its model. The prices themselves are rows of `operator/prices/bills.test.ts`, also those of
 * regional hosts, which no test can call. What a request without a price is refused with is in `requests.test.ts` beside each dialect.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];

// Searches.

/** A response with as many searches as the request allows. */
function searched(sent: JsonObject, feeUsd: number, [input, output]: readonly [number, number]): Answer {
  const calls = Number(sent['max_tool_calls'] ?? 50);
  const items = Array.from({ length: calls }, () => ({ type: 'web_search_call', action: { type: 'search', query: 'x' } }));
  const more = { output: items, tools: sent['tools'] };
  const usage = { input_tokens: 1000, output_tokens: 100 };
  const usd = calls * feeUsd + (1000 * input + 100 * output) / million;
  return sent['stream'] === true ? { type: sse, body: responsesStream(usage, more), usd } : { body: responsesAnswer(usage, more), usd };
}

const preview = { provider: 'OpenAI', path: '/v1/responses', capUsd: 1.2, outcome: 'exact' } as const;
const previewBody = { model: 'gpt-4o', input: 'Hi', max_output_tokens: 100, tools: [{ type: 'web_search_preview' }] };
const dear = (sent: JsonObject): Answer => searched(sent, 0.025, [2.5, 10]);

const searches: readonly Row[] = [
  { ...preview, name: 'previews of a search at a model that does not reason', body: { ...previewBody, max_tool_calls: 20 }, answer: dear },
  { ...preview, name: 'the same without a limit', body: previewBody, answer: dear },
  { ...preview, name: 'the same in a stream', body: { ...previewBody, stream: true }, answer: dear },
  {
    ...preview,
    name: 'the dated tool',
    body: { ...previewBody, tools: [{ type: 'web_search_preview_2025_03_11' }] },
    answer: dear,
  },
  {
    ...preview,
    name: 'previews of a search at a model that reasons',
    body: { ...previewBody, model: 'o4-mini', max_output_tokens: 20_000, max_tool_calls: 5 },
    answer: (sent) => searched(sent, 0.01, [1.1, 4.4]),
  },
  {
    ...preview,
    name: 'the newer tool',
    body: { ...previewBody, model: 'gpt-4.1', tools: [{ type: 'web_search' }], max_tool_calls: 3 },
    capUsd: 4,
    answer: (sent) => searched(sent, 0.01, [2, 8]),
  },
  {
    ...preview,
    name: 'previews of a search at Azure, whose price is unknown',
    provider: 'AzureOpenAI',
    body: { ...previewBody, max_tool_calls: 2 },
    outcome: { refused: 'unmeterable_request' },
  },
];

const searchModels: readonly Row[] = (
  [
    ['OpenAI', 'gpt-4o-mini-search-preview-2025-03-11', 0.03, 0.15, 0.6],
    ['OpenAI', 'gpt-4o-mini-search-preview', 0.03, 0.15, 0.6],
    ['OpenAI', 'gpt-4o-search-preview', 0.035, 2.5, 10],
    ['OpenAI', 'gpt-4o-search-preview-2025-03-11', 0.035, 2.5, 10],
    ['OpenRouter', 'openai/gpt-4o-search-preview', 0.035, 2.5, 10],
    ['OpenRouter', 'perplexity/sonar', 0.012, 1, 1],
  ] as const
).flatMap(([provider, model, fee, input, output]): readonly Row[] => {
  const usd = fee + (14 * input + 100 * output) / million;
  const usage = { prompt_tokens: 14, completion_tokens: 100 };
  const row = { provider, path: '/v1/chat/completions', capUsd: 0.2, outcome: 'exact' } as const;
  const body = { model, max_tokens: 100, messages: hi };
  return [
    { ...row, name: `a call of ${provider}’s ${model}, which searches unasked`, body, answer: () => ({ body: chatAnswer(usage), usd }) },
    {
      ...row,
      name: `a stream of ${provider}’s ${model}`,
      body: { ...body, stream: true },
      answer: () => ({ type: sse, body: chatStream(usage), usd }),
    },
  ];
});

// Audio.

const spoken = { prompt_tokens: 20, completion_tokens: 1000, completion_tokens_details: { audio_tokens: 900 } };
const audioRow = { provider: 'OpenAI', path: '/v1/chat/completions', capUsd: 0.5, outcome: 'exact' } as const;
const say = {
  model: 'gpt-4o-audio-preview',
  max_tokens: 1000,
  modalities: ['text', 'audio'],
  audio: { voice: 'alloy', format: 'wav' },
  messages: hi,
};
const wav = { type: 'input_audio', input_audio: { data: 'A'.repeat(40_000), format: 'wav' } };

const audio: readonly Row[] = [
  ...(
    [
      ['gpt-4o-audio-preview', 2.5, 10, 80],
      ['gpt-4o-audio-preview-2025-06-03', 2.5, 10, 80],
      ['gpt-4o-mini-audio-preview', 0.15, 0.6, 20],
      ['gpt-audio', 2.5, 10, 64],
    ] as const
  ).flatMap(([model, input, text, voice]): readonly Row[] => {
    const usd = (20 * input + 100 * text + 900 * voice) / million;
    return [
      { ...audioRow, name: `speech of ${model}`, body: { ...say, model }, answer: () => ({ body: chatAnswer(spoken), usd }) },
      {
        ...audioRow,
        name: `speech of ${model} that nobody asked for`,
        body: { model, max_tokens: 1000, messages: hi },
        answer: () => ({ body: chatAnswer(spoken), usd }),
      },
    ];
  }),
  {
    ...audioRow,
    name: 'audio that goes in',
    body: { model: 'gpt-4o-audio-preview', max_tokens: 10, messages: [{ role: 'user', content: [wav] }] },
    answer: () => ({
      body: chatAnswer({ prompt_tokens: 1010, completion_tokens: 10, prompt_tokens_details: { audio_tokens: 1000 } }),
      usd: (10 * 2.5 + 1000 * 40 + 10 * 10) / million,
    }),
    capUsd: 6,
    parallel: 3,
  },
  {
    ...audioRow,
    name: 'audio into a model without a price of it',
    body: { ...say, model: 'gpt-4o', messages: [{ role: 'user', content: [wav] }] },
    outcome: { refused: 'unmeterable_request' },
  },
  {
    ...audioRow,
    name: 'audio out of a model without a price of it',
    body: { ...say, model: 'gpt-4o' },
    outcome: { refused: 'unmeterable_request' },
  },
  {
    ...audioRow,
    name: 'the first audio model, whose price nobody names',
    body: { ...say, model: 'gpt-4o-audio-preview-2024-10-01' },
    outcome: { refused: 'model_denied' },
  },
  {
    ...audioRow,
    name: 'audio of OpenRouter',
    provider: 'OpenRouter',
    body: { ...say, model: 'openai/gpt-4o-audio-preview' },
    outcome: { refused: 'unmeterable_request' },
  },
];

// OpenRouter.

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
    serves: 50,
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

// Tiers and regions.

const mini = { model: 'gpt-5.4-mini', max_tokens: 100, messages: hi };
const used = { prompt_tokens: 9, completion_tokens: 100 };
const standard = (9 * 0.75 + 100 * 4.5) / million;
const tierRow = { provider: 'OpenAI', path: '/v1/chat/completions', capUsd: 0.02, outcome: 'exact' } as const;

/** An account whose default is priority. */
function tiered(sent: JsonObject): Answer {
  const tier = ['default', 'flex'].includes(String(sent['service_tier'])) ? String(sent['service_tier']) : 'priority';
  const usd = standard * (tier === 'priority' ? 2 : tier === 'flex' ? 0.5 : 1);
  return sent['stream'] === true
    ? { type: sse, body: chatStream(used, { service_tier: tier }), usd }
    : { body: chatAnswer(used, { service_tier: tier }), usd };
}

function tieredResponse(sent: JsonObject): Answer {
  const { usd } = tiered(sent);
  const more = { service_tier: usd > standard ? 'priority' : usd < standard ? 'flex' : 'default' };
  const usage = { input_tokens: 9, output_tokens: 100 };
  return sent['stream'] === true ? { type: sse, body: responsesStream(usage, more), usd } : { body: responsesAnswer(usage, more), usd };
}

const respond = { model: 'gpt-5.4-mini', max_output_tokens: 100, input: 'Hi' };
const tierNames: readonly (readonly [string, object])[] = [
  ['absent', {}],
  ['auto', { service_tier: 'auto' }],
  ['null', { service_tier: null }],
  ['flex', { service_tier: 'flex' }],
  ['priority', { service_tier: 'priority' }],
];

const claude = { model: 'claude-sonnet-4-6', max_tokens: 8000, messages: hi };

/** An answer as long as the request allows, from a place that costs so many percent. */
function placed(sent: JsonObject, geography: string, percent: number): Answer {
  const output_tokens = Number(sent['max_tokens']);
  const usage = { input_tokens: 9, output_tokens, inference_geo: geography };
  const usd = ((9 * 3 + output_tokens * 15) * percent) / 100 / million;
  return sent['stream'] === true ? { type: sse, body: messagesStream(usage), usd } : { body: messagesAnswer(usage), usd };
}

const us = (sent: JsonObject): Answer => placed(sent, 'us', 110);
const geoRow = { provider: 'Anthropic', path: '/v1/messages', capUsd: 1, outcome: 'exact' } as const;
const flash = {
  contents: [{ role: 'user', parts: [{ text: 'Hi' }] }],
  generationConfig: { maxOutputTokens: 100, thinkingConfig: { thinkingBudget: 0 } },
};

const servings: readonly Row[] = [
  ...tierNames.flatMap(([what, tier]): readonly Row[] => [
    { ...tierRow, name: `chat of tier ${what} on an account of priority`, body: { ...mini, ...tier }, answer: tiered },
    { ...tierRow, name: `a stream of tier ${what}`, body: { ...mini, ...tier, stream: true }, answer: tiered },
    { ...tierRow, name: `a response of tier ${what}`, path: '/v1/responses', body: { ...respond, ...tier }, answer: tieredResponse },
    {
      ...tierRow,
      name: `a streamed response of tier ${what}`,
      path: '/v1/responses',
      body: { ...respond, ...tier, stream: true },
      answer: tieredResponse,
    },
  ]),
  { ...tierRow, name: 'a tier of no known price', body: { ...mini, service_tier: 'ultra' }, outcome: judged },
  { ...tierRow, name: 'a tier of the wrong type', body: { ...mini, service_tier: ['priority'] }, outcome: { refused: 'invalid_request' } },
  { ...geoRow, name: 'inference in the US that the request asks for', body: { ...claude, inference_geo: 'us' }, answer: us },
  { ...geoRow, name: 'inference in the US by the default of the workspace', body: claude, answer: us },
  { ...geoRow, name: 'a stream from the US by the default of the workspace', body: { ...claude, stream: true }, answer: us },
  {
    ...geoRow,
    name: 'inference anywhere',
    body: { ...claude, inference_geo: 'global' },
    serves: 8,
    answer: (sent) => placed(sent, 'global', 100),
  },
  { ...geoRow, name: 'inference in a place of no known price', body: { ...claude, inference_geo: 'mars' }, outcome: judged },
  {
    name: 'priority that Gemini served as the request asked',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: { ...flash, serviceTier: 'priority' },
    capUsd: 0.02,
    answer: () => ({
      body: geminiAnswer({ promptTokenCount: 9, candidatesTokenCount: 100, serviceTier: 'priority' }),
      usd: ((9 * 0.3 + 100 * 2.5) * 1.8) / million,
    }),
    outcome: 'exact',
  },
];

// Media of embeddings.

const embedUsage = (name: string, modality: string): object => ({ promptTokenCount: 320, [name]: [{ modality, tokenCount: 320 }] });
const media = (mimeType: string): object => ({ content: { parts: [{ inlineData: { mimeType, data: 'A'.repeat(4000) } }] } });
const embedRow = { provider: 'Gemini', path: '/v1beta/models/gemini-embedding-2:embedContent', capUsd: 0.5, outcome: 'exact' } as const;

const embeddings: readonly Row[] = ['promptTokenDetails', 'promptTokensDetails'].flatMap((name): readonly Row[] => [
  {
    ...embedRow,
    name: `audio of an embedding, by ${name}`,
    body: media('audio/wav'),
    answer: () => ({ body: { embedding: { values: [0.1] }, usageMetadata: embedUsage(name, 'AUDIO') }, usd: (320 * 6.5) / million }),
  },
  {
    ...embedRow,
    name: `a picture of an embedding, by ${name}`,
    body: media('image/png'),
    answer: () => ({ body: { embedding: { values: [0.1] }, usageMetadata: embedUsage(name, 'IMAGE') }, usd: (320 * 0.45) / million }),
  },
  {
    ...embedRow,
    name: `text of an embedding, by ${name}`,
    body: { content: { parts: [{ text: 'Hi' }] } },
    answer: () => ({ body: { embedding: { values: [0.1] }, usageMetadata: embedUsage(name, 'TEXT') }, usd: (320 * 0.2) / million }),
  },
  {
    ...embedRow,
    name: `audio of a batch, in snake case, by ${name}`,
    path: '/v1beta/models/gemini-embedding-2:batchEmbedContents',
    body: { requests: [{ content: { parts: [{ inline_data: { mime_type: 'audio/wav', data: 'A'.repeat(4000) } }] } }] },
    answer: () => ({ body: { embeddings: [{ values: [0.1] }], usageMetadata: embedUsage(name, 'AUDIO') }, usd: (320 * 6.5) / million }),
  },
]);

tryRows('searches', [...searches, ...searchModels]);
tryRows('audio', audio);
tryRows('OpenRouter', openRouter);
tryRows('ways of serving', servings);
tryRows('embeddings of media', embeddings);
