import { events, geminiAnswer, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Answers above 8 MiB, which no proxy holds: their usage is read as they pass, wherever it stands. Fragments of such answers are cut at each
 * byte in `proxy/dialect/skeleton.test.ts`.
 */

const million = 1_000_000;
const priced = {
  models: [
    {
      name: 'm',
      maxOutputTokens: 4096,
      contextTokens: 1_000_000,
      pricePerMillion: { input: '2', output: '8', inputImage: '2', outputImage: '100', outputAudio: '100' },
    },
  ],
};
const hi = [{ role: 'user', content: 'Hi' }];
const filler = 'A'.repeat(9 * 1024 * 1024);
/** More than an event may have to be read whole. */
const more = filler.repeat(2);
const picture = 1000;

/** Nine MiB in events of a megabyte. */
function inEvents(event: (text: string) => object, last: object, end = ''): Answer['body'] {
  const part = 'A'.repeat(1_000_000);
  return [...Array.from({ length: 9 }, () => Buffer.from(events([event(part)]))), Buffer.from(events([last], end))];
}

const row = { pool: priced, capUsd: 2, parallel: 2, serves: 6, outcome: 'exact' } as const;
const usd = (9 * 2 + picture * 100) / million;

const chatUsage = { prompt_tokens: 9, completion_tokens: picture, completion_tokens_details: { image_tokens: picture } };
const chat = {
  ...row,
  provider: 'OpenAICompatible',
  path: '/v1/chat/completions',
  body: { model: 'm', max_tokens: picture, messages: hi },
} as const;
const drawn = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: '', images: [{ image_url: { url: filler } }] } };
const delta = (url: string): object => ({ choices: [{ index: 0, delta: { images: [{ image_url: { url } }] } }] });

const responseUsage = { input_tokens: 9, output_tokens: picture };
const textUsd = (9 * 2 + picture * 8) / million;
const responses = {
  ...row,
  provider: 'OpenAI',
  path: '/v1/responses',
  body: { model: 'm', max_output_tokens: picture, input: 'Hi' },
} as const;
const messages = { ...row, provider: 'Anthropic', path: '/v1/messages', body: { model: 'm', max_tokens: picture, messages: hi } } as const;
const text = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: filler }] };

const geminiUsage = {
  promptTokenCount: 9,
  candidatesTokenCount: picture,
  candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: picture }],
};
const gemini = {
  ...row,
  provider: 'Gemini',
  path: '/v1beta/models/m:generateContent',
  body: { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }], generationConfig: { maxOutputTokens: picture } },
} as const;
const image = (data: string): object => ({
  finishReason: 'STOP',
  content: { role: 'model', parts: [{ inlineData: { mimeType: 'image/png', data } }] },
});

const rows: readonly Row[] = [
  { ...chat, name: 'chat, usage last', answer: () => ({ body: { id: 'c', model: 'm', choices: [drawn], usage: chatUsage }, usd }) },
  { ...chat, name: 'chat, usage first', answer: () => ({ body: { usage: chatUsage, id: 'c', model: 'm', choices: [drawn] }, usd }) },
  {
    ...chat,
    name: 'chat, with usage in the text of the answer',
    answer: () => {
      const fake = { ...drawn, message: { content: `"usage":{"prompt_tokens":1,"completion_tokens":1}${filler}` } };
      return { body: { usage: chatUsage, model: 'm', choices: [fake] }, usd };
    },
  },
  {
    ...chat,
    name: 'chat in many events',
    body: { ...chat.body, stream: true },
    answer: () => ({ type: sse, body: inEvents(delta, { choices: [], usage: chatUsage }, 'data: [DONE]\n\n'), usd }),
  },
  {
    ...chat,
    name: 'chat in one event, with its usage',
    body: { ...chat.body, stream: true },
    answer: () => ({
      type: sse,
      body: events([{ choices: [{ ...drawn, message: undefined, delta: drawn.message }], usage: chatUsage }], 'data: [DONE]\n\n'),
      usd,
    }),
  },
  {
    ...chat,
    name: 'chat in one event of 18 MiB, with its usage',
    body: { ...chat.body, stream: true },
    answer: () => {
      const choice = { index: 0, finish_reason: 'stop', delta: { images: [{ image_url: { url: more } }] } };
      return { type: sse, body: events([{ choices: [choice], usage: chatUsage }], 'data: [DONE]\n\n'), usd };
    },
  },
  {
    ...chat,
    name: 'chat of a stream that comes as one answer',
    body: { ...chat.body, stream: true },
    answer: () => ({ body: { id: 'c', model: 'm', choices: [drawn], usage: chatUsage }, usd }),
  },
  {
    ...chat,
    name: 'embeddings',
    path: '/v1/embeddings',
    body: { model: 'm', input: 'Hi' },
    answer: () => ({
      body: { data: [{ embedding: filler }], model: 'm', usage: { prompt_tokens: 9, total_tokens: 9 } },
      usd: (9 * 2) / million,
    }),
  },
  {
    ...responses,
    name: 'a response, usage last',
    answer: () => ({ body: { id: 'resp_1', object: 'response', model: 'm', output: [text], usage: responseUsage }, usd: textUsd }),
  },
  {
    ...responses,
    name: 'a response, usage first',
    answer: () => ({ body: { usage: responseUsage, id: 'resp_1', object: 'response', model: 'm', output: [text] }, usd: textUsd }),
  },
  {
    ...responses,
    name: 'a response in many events',
    body: { ...responses.body, stream: true },
    answer: () => {
      const last = { type: 'response.completed', response: { id: 'resp_1', model: 'm', output: [text], usage: responseUsage } };
      return { type: sse, body: inEvents((part) => ({ type: 'response.output_text.delta', delta: part }), last), usd: textUsd };
    },
  },
  {
    ...messages,
    name: 'a message, usage last',
    answer: () => ({
      body: { id: 'msg_1', type: 'message', model: 'm', content: [{ type: 'text', text: filler }], usage: responseUsage },
      usd: textUsd,
    }),
  },
  {
    ...messages,
    name: 'a message, usage first',
    answer: () => ({
      body: { usage: responseUsage, id: 'msg_1', type: 'message', model: 'm', content: [{ type: 'text', text: filler }] },
      usd: textUsd,
    }),
  },
  {
    ...messages,
    name: 'a message in many events',
    body: { ...messages.body, stream: true },
    answer: () => {
      const start = {
        type: 'message_start',
        message: { id: 'msg_1', model: 'm', content: [], usage: { input_tokens: 9, output_tokens: 1 } },
      };
      const each = (part: string): object => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: part } });
      const last = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: responseUsage };
      const stop = events([{ type: 'message_stop' }]);
      return { type: sse, body: [Buffer.from(events([start])), ...(inEvents(each, last, stop) as Buffer[])], usd: textUsd };
    },
  },
  {
    ...gemini,
    name: 'a picture of Gemini, usage last',
    answer: () => ({ body: { candidates: [image(filler)], modelVersion: 'm', usageMetadata: geminiUsage }, usd }),
  },
  {
    ...gemini,
    name: 'a picture of Gemini, usage first',
    answer: () => ({ body: { usageMetadata: geminiUsage, candidates: [image(filler)], modelVersion: 'm' }, usd }),
  },
  {
    ...gemini,
    name: 'a streamed picture of Gemini, with its usage',
    path: '/v1beta/models/m:streamGenerateContent?alt=sse',
    answer: () => ({ type: sse, body: events([{ candidates: [image(filler)], usageMetadata: geminiUsage }]), usd }),
  },
  {
    ...gemini,
    name: 'a streamed picture of Gemini of 18 MiB, with its usage',
    path: '/v1beta/models/m:streamGenerateContent?alt=sse',
    answer: () => ({ type: sse, body: events([{ candidates: [image(more)], usageMetadata: geminiUsage }]), usd }),
  },
  {
    ...gemini,
    name: 'a picture of 18 MiB in an array',
    path: '/v1beta/models/m:streamGenerateContent',
    answer: () => ({ body: `[${JSON.stringify({ candidates: [image(more)], usageMetadata: geminiUsage })}\n]`, usd }),
  },
  {
    ...responses,
    name: 'a response whose last event has 18 MiB',
    body: { ...responses.body, stream: true },
    answer: () => {
      const output = [{ ...text, content: [{ type: 'output_text', text: more }] }];
      const last = { type: 'response.completed', response: { id: 'resp_1', model: 'm', output, usage: responseUsage } };
      return { type: sse, body: `event: response.completed\n${events([last])}`, usd: textUsd };
    },
  },
  {
    ...gemini,
    name: 'a streamed picture of Gemini, and its usage later',
    path: '/v1beta/models/m:streamGenerateContent?alt=sse',
    answer: () => ({ type: sse, body: events([{ candidates: [image(filler)] }, geminiAnswer(geminiUsage)]), usd }),
  },
  {
    ...gemini,
    name: 'a picture of Gemini in an array',
    path: '/v1beta/models/m:streamGenerateContent',
    answer: () => ({ body: [Buffer.from(`[${JSON.stringify({ candidates: [image(filler)], usageMetadata: geminiUsage })}\n]`)], usd }),
  },
];

tryRows('an answer above 8 MiB', rows);
