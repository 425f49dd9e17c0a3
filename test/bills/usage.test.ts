import type { JsonObject } from '../../core/json.ts';
import {
  chatAnswer,
  chatStream,
  events,
  geminiAnswer,
  messagesAnswer,
  messagesStream,
  responsesAnswer,
  responsesStream,
  sse,
} from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * What an answer says that it used, class by class, and answers that say nothing. Each provider's figures are rows of the tests of usage beside
 * each dialect; how a stream without usage is charged is in `proxy/charged.test.ts`.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi '.repeat(3000) }];

interface Surface {
  readonly row: Pick<Row, 'provider' | 'path' | 'body'>;
  /** The path and body of the same request as a stream. */
  readonly streamed: Pick<Row, 'path' | 'body'>;
  readonly whole: (usage: JsonObject) => object;
  readonly stream: (usage: JsonObject) => string;
  readonly used: readonly (readonly [name: string, usage: JsonObject, usd: number])[];
  /** Usage without output; absent: the API omits what is 0. */
  readonly half?: JsonObject;
  /** What an answer without usage is billed. */
  readonly usd: number;
}

function sent(body: object): { readonly body: object; readonly streamed: object } {
  return { body, streamed: { ...body, stream: true } };
}

const chat = sent({ model: 'gpt-4.1', max_tokens: 1000, messages: hi });
const respond = sent({ model: 'gpt-4.1', max_output_tokens: 1000, input: 'Hi '.repeat(3000) });
const message = sent({
  model: 'claude-haiku-4-5',
  max_tokens: 1000,
  messages: hi,
  system: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral', ttl: '1h' } }],
});
const contents = {
  contents: [{ role: 'user', parts: [{ text: 'Hi '.repeat(3000) }] }],
  generationConfig: { maxOutputTokens: 3000, thinkingConfig: { thinkingBudget: 1000 } },
};

const surfaces: readonly Surface[] = [
  {
    row: { provider: 'OpenAI', path: '/v1/chat/completions', body: chat.body },
    streamed: { path: '/v1/chat/completions', body: chat.streamed },
    whole: chatAnswer,
    stream: chatStream,
    used: [
      ['all anew', { prompt_tokens: 3000, completion_tokens: 500 }, 3000 * 2 + 500 * 8],
      [
        'a part from the cache',
        { prompt_tokens: 3000, completion_tokens: 500, prompt_tokens_details: { cached_tokens: 2048 } },
        952 * 2 + 2048 * 0.5 + 500 * 8,
      ],
      [
        'nulls',
        { prompt_tokens: 3000, completion_tokens: 500, prompt_tokens_details: null, completion_tokens_details: null },
        3000 * 2 + 500 * 8,
      ],
    ],
    half: { prompt_tokens: 3000 },
    usd: 3000 * 2 + 1 * 8,
  },
  {
    row: { provider: 'OpenAI', path: '/v1/responses', body: respond.body },
    streamed: { path: '/v1/responses', body: respond.streamed },
    whole: responsesAnswer,
    stream: responsesStream,
    used: [
      ['all anew', { input_tokens: 3000, output_tokens: 500 }, 3000 * 2 + 500 * 8],
      [
        'a part from the cache',
        { input_tokens: 3000, output_tokens: 500, input_tokens_details: { cached_tokens: 2048 } },
        952 * 2 + 2048 * 0.5 + 500 * 8,
      ],
    ],
    half: { input_tokens: 3000 },
    usd: 3000 * 2 + 1 * 8,
  },
  {
    row: { provider: 'Anthropic', path: '/v1/messages', body: message.body },
    streamed: { path: '/v1/messages', body: message.streamed },
    whole: messagesAnswer,
    stream: (usage) => messagesStream(usage as { readonly output_tokens: number }),
    used: [
      ['all anew', { input_tokens: 3000, output_tokens: 500 }, 3000 + 500 * 5],
      [
        'a part read from the cache',
        { input_tokens: 1000, cache_read_input_tokens: 2000, output_tokens: 500 },
        1000 + 2000 * 0.1 + 500 * 5,
      ],
      [
        'a part written for five minutes',
        { input_tokens: 1000, cache_creation_input_tokens: 2000, output_tokens: 500 },
        1000 + 2000 * 1.25 + 500 * 5,
      ],
      [
        'a part written for an hour',
        {
          input_tokens: 1000,
          cache_creation_input_tokens: 2000,
          cache_creation: { ephemeral_5m_input_tokens: 500, ephemeral_1h_input_tokens: 1500 },
          output_tokens: 500,
        },
        1000 + 500 * 1.25 + 1500 * 2 + 500 * 5,
      ],
    ],
    half: { input_tokens: 3000 },
    usd: 3000 + 1 * 5,
  },
  {
    row: { provider: 'Gemini', path: '/v1beta/models/gemini-2.5-flash:generateContent', body: contents },
    streamed: { path: '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', body: contents },
    whole: geminiAnswer,
    stream: (usage) => events([geminiAnswer(usage)]),
    used: [
      ['all anew', { promptTokenCount: 3000, candidatesTokenCount: 500 }, 3000 * 0.3 + 500 * 2.5],
      ['thoughts', { promptTokenCount: 3000, candidatesTokenCount: 500, thoughtsTokenCount: 900 }, 3000 * 0.3 + 1400 * 2.5],
      [
        'a part from the cache',
        { promptTokenCount: 3000, cachedContentTokenCount: 2000, candidatesTokenCount: 500 },
        1000 * 0.3 + 2000 * 0.03 + 500 * 2.5,
      ],
    ],
    usd: 3000 * 0.3 + 1 * 2.5,
  },
];

const rows = surfaces.flatMap(({ row, streamed, whole, stream, used, half, usd }): readonly Row[] => {
  const fromWhole = (usage: JsonObject, pico: number) => (): Answer => ({ body: whole(usage), usd: pico / million });
  const fromStream = (usage: JsonObject, pico: number) => (): Answer => ({ type: sse, body: stream(usage), usd: pico / million });
  const capUsd = 0.2;
  return [
    ...used.flatMap(([name, usage, pico]): readonly Row[] => [
      { ...row, capUsd, name: `${row.path}: ${name}`, answer: fromWhole(usage, pico), outcome: 'exact' },
      { ...row, ...streamed, capUsd, name: `${row.path} as a stream: ${name}`, answer: fromStream(usage, pico), outcome: 'exact' },
    ]),
    { ...row, capUsd, name: `${row.path}: no figures`, answer: fromWhole({}, usd), outcome: 'bound' },
    { ...row, ...streamed, capUsd, name: `${row.path} as a stream: no figures`, answer: fromStream({}, usd), outcome: 'bound' },
    ...(half === undefined ? [] : [half]).flatMap((usage): readonly Row[] => [
      { ...row, capUsd, name: `${row.path}: no figure of output`, answer: fromWhole(usage, usd), outcome: 'bound' },
      {
        ...row,
        ...streamed,
        capUsd,
        name: `${row.path} as a stream: no figure of output`,
        answer: fromStream(usage, usd),
        outcome: 'bound',
      },
    ]),
    { ...row, capUsd, name: `${row.path}: nothing`, answer: () => ({ body: '', usd: usd / million }), outcome: 'bound' },
    {
      ...row,
      capUsd,
      name: `${row.path}: a page`,
      answer: () => ({ type: 'text/html', body: '<html>', usd: usd / million }),
      outcome: 'bound',
    },
    {
      ...row,
      ...streamed,
      capUsd,
      name: `${row.path} as a stream: nothing`,
      answer: () => ({ type: sse, body: '', usd: usd / million }),
      outcome: 'bound',
    },
  ];
});

tryRows('what an answer says that it used', rows);
