import assert from 'node:assert/strict';
import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, chatStream, events, geminiAnswer, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Output that is dearer or longer than the request says: pictures and speech that a model makes by default, and servers that read another
 * field for its limit. What each body demands is in `requests.test.ts` beside each dialect.
 */

const million = 1_000_000;

// Pictures by default.

interface Painter {
  readonly model: string;
  readonly input: number;
  readonly image: number;
  readonly tokens: number;
}

const painters: readonly Painter[] = [
  { model: 'gemini-2.5-flash-image', input: 0.3, image: 30, tokens: 1290 },
  { model: 'gemini-2.5-flash-image-preview', input: 0.3, image: 30, tokens: 1290 },
  { model: 'gemini-3.1-flash-image', input: 0.5, image: 60, tokens: 2520 },
  { model: 'gemini-3-pro-image-preview', input: 2, image: 120, tokens: 2000 },
];

const paint = { contents: [{ role: 'user', parts: [{ text: 'A cat' }] }] };

function configOf(sent: JsonObject): JsonObject {
  return (sent['generationConfig'] ?? sent['generation_config'] ?? {}) as JsonObject;
}

/** One picture, unless the limit is lower. */
function painted({ input, image, tokens }: Painter, sent: JsonObject, streams: boolean): Answer {
  const config = configOf(sent);
  const limit = Number(config['maxOutputTokens'] ?? config['max_output_tokens'] ?? Number.POSITIVE_INFINITY);
  const count = Math.min(tokens, limit);
  const usage = {
    promptTokenCount: 4,
    candidatesTokenCount: count,
    candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: count }],
  };
  const usd = (4 * input + count * image) / million;
  return streams ? { type: sse, body: events([geminiAnswer(usage)]), usd } : { body: geminiAnswer(usage), usd };
}

const shapes: readonly (readonly [string, object])[] = [
  ['no modalities', {}],
  ['modalities of null', { generationConfig: { responseModalities: null } }],
  ['no modality in the list', { generationConfig: { responseModalities: [] } }],
  ['both', { generationConfig: { responseModalities: ['TEXT', 'IMAGE'] } }],
  ['both in lower case', { generationConfig: { responseModalities: ['Text', 'Image'] } }],
  ['snake case', { generation_config: { response_modalities: ['IMAGE'] } }],
  ['one value', { generationConfig: { responseModalities: 'IMAGE' } }],
  ['a number', { generationConfig: { responseModalities: [2] } }],
  ['a limit', { generationConfig: { maxOutputTokens: 2000 } }],
];

const pictures: readonly Row[] = painters.flatMap((painter): readonly Row[] => {
  // A model that thinks is given room for it.
  const capUsd = Number(((Math.max(painter.tokens, painter.model.includes('pro') ? 5000 : 0) * painter.image * 2.6) / million).toFixed(6));
  const row = { provider: 'Gemini', capUsd, outcome: 'exact' } as const;
  const path = `/v1beta/models/${painter.model}`;
  return [
    ...shapes.map(
      ([what, more]): Row => ({
        ...row,
        name: `a picture of ${painter.model}, ${what}`,
        path: `${path}:generateContent`,
        body: { ...paint, ...more },
        answer: (sent) => painted(painter, sent, false),
      }),
    ),
    {
      ...row,
      name: `a streamed picture of ${painter.model}`,
      path: `${path}:streamGenerateContent?alt=sse`,
      body: paint,
      answer: (sent) => painted(painter, sent, true),
    },
  ];
});

/** OpenRouter’s prices of pictures are those of the vendors. */
const routed: readonly Row[] = (
  [
    ['google/gemini-2.5-flash-image', 0.3, 30, 1290],
    ['google/gemini-3.1-flash-image-preview', 0.5, 60, 2520],
    ['google/gemini-3-pro-image-preview', 2, 120, 5000],
    ['openai/gpt-5-image', 10, 40, 4000],
    ['openai/gpt-5-image-mini', 2.5, 8, 4000],
    ['openai/gpt-5.4-image-2', 8, 30, 4000],
  ] as const
).flatMap(([model, input, image, tokens]): readonly Row[] => {
  const row = {
    provider: 'OpenRouter',
    path: '/v1/chat/completions',
    capUsd: Number(((tokens * image * 2.6) / million).toFixed(6)),
  } as const;
  const body = { model, messages: [{ role: 'user', content: 'A cat' }] };
  const answer = (sent: JsonObject): Answer => {
    const count = Math.min(tokens, Number(sent['max_tokens'] ?? tokens));
    const cost = (4 * input + count * image) / million;
    const usage = { prompt_tokens: 4, completion_tokens: count, completion_tokens_details: { image_tokens: count }, cost };
    return sent['stream'] === true ? { type: sse, body: chatStream(usage), usd: cost } : { body: chatAnswer(usage), usd: cost };
  };
  return [
    { ...row, name: `a picture of ${model} by default`, body, answer, outcome: 'exact' },
    {
      ...row,
      name: `a picture of ${model} that the request asks for`,
      body: { ...body, modalities: ['image', 'text'] },
      answer,
      outcome: 'exact',
    },
    { ...row, name: `a streamed picture of ${model}`, body: { ...body, stream: true }, answer, outcome: 'exact' },
  ];
});

const speech: readonly Row[] = [
  {
    name: 'speech of Gemini, whose models speak by default',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-flash-preview-tts:generateContent',
    body: { ...paint, generationConfig: { maxOutputTokens: 2000 } },
    capUsd: 0.1,
    answer: (sent) => {
      const count = Number(configOf(sent)['maxOutputTokens']);
      const usage = {
        promptTokenCount: 4,
        candidatesTokenCount: count,
        candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: count }],
      };
      return { body: geminiAnswer(usage), usd: (4 * 0.5 + count * 10) / million };
    },
    outcome: 'exact',
  },
];

// Limits.

const priced = { models: [{ name: 'm', maxOutputTokens: 4096, contextTokens: 128_000, pricePerMillion: { input: '0.1', output: '8' } }] };
const chat = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

/** A server that reads the first of these fields, and writes as much as it may. */
function writes(names: readonly string[]): (sent: JsonObject) => Answer {
  return (sent) => {
    const field = names.find((name) => typeof sent[name] === 'number');
    const completion_tokens = (field === undefined ? 4096 : Number(sent[field])) * Number(sent['n'] ?? 1);
    const usage = { prompt_tokens: 9, completion_tokens };
    const usd = (9 * 0.1 + completion_tokens * 8) / million;
    return sent['stream'] === true ? { type: sse, body: chatStream(usage), usd } : { body: chatAnswer(usage), usd };
  };
}

const limits: readonly Row[] = (['OpenAICompatible', 'Mistral', 'OpenRouter'] as const).flatMap((provider): readonly Row[] => {
  const row = {
    provider,
    pool: priced,
    path: '/v1/chat/completions',
    capUsd: 0.1,
    outcome: 'exact',
    answer: writes(['max_tokens']),
  } as const;
  const bodies: readonly (readonly [string, object])[] = [
    ['max_completion_tokens', { max_completion_tokens: 1 }],
    ['max_completion_tokens in a stream', { max_completion_tokens: 1, stream: true }],
    ['max_completion_tokens of more than the model writes', { max_completion_tokens: 100_000 }],
    ['max_tokens of null beside max_completion_tokens', { max_completion_tokens: 1, max_tokens: null }],
    ['max_tokens above max_completion_tokens', { max_completion_tokens: 10, max_tokens: 4000 }],
    ['max_tokens below max_completion_tokens', { max_completion_tokens: 4000, max_tokens: 10 }],
    ['two answers', { max_completion_tokens: 100, n: 2 }],
    ['no limit', {}],
  ];
  return bodies.map(
    ([what, more]): Row => ({ ...row, name: `${provider} that knows max_tokens alone, with ${what}`, body: { ...chat, ...more } }),
  );
});

const otherLimits: readonly Row[] = [
  ...['maxOutputTokens', 'max_output_tokens', 'n_predict', 'num_predict', 'max_new_tokens', 'max_length'].map(
    (name): Row => ({
      name: `a limit in ${name}, which not every server reads`,
      provider: 'OpenAICompatible',
      pool: priced,
      path: '/v1/chat/completions',
      body: { ...chat, [name]: 100 },
      outcome: { refused: 'unmeterable_request' },
    }),
  ),
  {
    name: 'more answers than come back',
    provider: 'OpenAICompatible',
    pool: priced,
    path: '/v1/chat/completions',
    body: { ...chat, max_tokens: 100, best_of: 20 },
    capUsd: 0.1,
    answer: (sent) => {
      const completion_tokens = Number(sent['max_tokens']) * Number(sent['best_of']);
      return { body: chatAnswer({ prompt_tokens: 9, completion_tokens }), usd: (9 * 0.1 + completion_tokens * 8) / million };
    },
    outcome: 'exact',
  },
  ...[{ max_tokens: '100' }, { max_tokens: 1.5 }, { max_tokens: -1 }, { max_completion_tokens: [1] }, { n: '2' }, { best_of: {} }].map(
    (more): Row => ({
      name: `a limit of the wrong type: ${JSON.stringify(more)}`,
      provider: 'OpenAICompatible',
      pool: priced,
      path: '/v1/chat/completions',
      body: { ...chat, ...more },
      outcome: { refused: 'invalid_request' },
    }),
  ),
  {
    name: 'a limit of Gemini in snake case',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-flash-lite:generateContent',
    body: { ...paint, generation_config: { max_output_tokens: 60_000 } },
    capUsd: 0.01,
    answer: (sent) => {
      const config = sent['generation_config'] as JsonObject;
      assert.deepEqual(Object.keys(sent).sort(), ['contents', 'generation_config']);
      const count = Number(config['max_output_tokens']);
      return { body: geminiAnswer({ promptTokenCount: 4, candidatesTokenCount: count }), usd: (4 * 0.1 + count * 0.4) / million };
    },
    outcome: 'exact',
  },
  {
    name: 'a limit of Gemini in both spellings',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-flash-lite:generateContent',
    body: { ...paint, generationConfig: { maxOutputTokens: 9, max_output_tokens: 60_000 } },
    outcome: { refused: 'INVALID_ARGUMENT' },
  },
];

tryRows('pictures and speech by default', [...pictures, ...routed, ...speech]);
tryRows('limits of output', [...limits, ...otherLimits]);
