import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, chatStream, responsesAnswer, responsesStream, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * What costs more than the tokens of text of its model. The prices themselves are rows of `operator/prices/bills.test.ts`. What a request
 * without a price is refused with is in `requests.test.ts` beside each dialect.
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
tryRows('embeddings of media', embeddings);
