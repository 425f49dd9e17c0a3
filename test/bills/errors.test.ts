import { chatAnswer, events, sse } from './answers.ts';
import { type Row, tryRows } from './rows.ts';

/*
 * What a call costs that ends in an error. Each status at each provider is a row of `proxy/provider/error-cost.test.ts`, and what streams after
 * an error one of `proxy/charged.test.ts`; here the bill meets a cap.
 */

const priced = { models: [{ name: 'm', maxOutputTokens: 4096, contextTokens: 128_000, pricePerMillion: { input: '2', output: '8' } }] };
const words = 'word '.repeat(4000);
const chat = { model: 'm', max_tokens: 100, messages: [{ role: 'user', content: words }] };
/** 4,000 tokens at $2 a million. */
const prompt = 0.008;

const filtered = {
  error: { message: 'filtered', param: 'prompt', code: 'content_filter', innererror: { code: 'ResponsibleAIPolicyViolation' } },
};
const rejected = { error: { message: 'no', type: 'invalid_request_error', code: 'bad' } };
const refused = (status: number, body: object | string, usd: number) => () => ({ status, body, usd });

const chatRow = { path: '/v1/chat/completions', body: chat, pool: priced, capUsd: 0.2 } as const;
const responses = { model: 'm', max_output_tokens: 100, input: words };
const claude = { model: 'm', max_tokens: 100, messages: [{ role: 'user', content: words }] };
const gemini = { contents: [{ role: 'user', parts: [{ text: words }] }], generationConfig: { maxOutputTokens: 100 } };

const rows: readonly Row[] = [
  {
    ...chatRow,
    name: 'a prompt that Azure’s content filter refuses',
    provider: 'AzureOpenAI',
    answer: refused(400, filtered, prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'the same, of Responses',
    provider: 'AzureOpenAI',
    path: '/v1/responses',
    body: responses,
    answer: refused(400, filtered, prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'the same, of a stream',
    provider: 'AzureOpenAI',
    body: { ...chat, stream: true },
    answer: refused(400, filtered, prompt),
    outcome: 'bound',
  },
  ...(
    [
      ['its inner error alone', { code: 'x', innererror: { code: 'ResponsibleAIPolicyViolation' } }],
      ['an inner error of another spelling', { code: 'x', inner_error: { code: 'ResponsibleAIPolicyViolation' } }],
      ['its type', { type: 'content_filter', code: null }],
      ['another spelling', { code: 'contentFilter' }],
      ['its code for pictures', { code: 'content_policy_violation' }],
      ['the policy as its code', { code: 'ResponsibleAIPolicyViolation' }],
    ] as const
  ).map(
    ([what, error]): Row => ({
      ...chatRow,
      name: `a filter that names itself by ${what}`,
      provider: 'AzureOpenAI',
      answer: refused(400, { error: { message: 'x', ...error } }, prompt),
      outcome: 'bound',
    }),
  ),
  { ...chatRow, name: 'a 408 of Azure', provider: 'AzureOpenAI', answer: refused(408, rejected, prompt), outcome: 'bound' },
  {
    ...chatRow,
    name: 'the filter of Azure behind a gateway',
    provider: 'OpenAICompatible',
    answer: refused(400, filtered, prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'the filter of Azure behind OpenRouter',
    provider: 'OpenRouter',
    answer: refused(400, filtered, prompt),
    outcome: 'bound',
  },
  { ...chatRow, name: 'another 400 of Azure', provider: 'AzureOpenAI', answer: refused(400, rejected, 0), outcome: 'exact', serves: 60 },
  {
    ...chatRow,
    name: 'a 500 of a server of unknown make',
    provider: 'OpenAICompatible',
    answer: refused(500, rejected, prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'a 502 of a server of unknown make',
    provider: 'OpenAICompatible',
    answer: refused(502, '<html>', prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'a 502 of a server whose errors are free',
    provider: 'OpenAICompatible',
    pool: { ...priced, freeErrors: true },
    answer: refused(502, '<html>', 0),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'a 400 with usage',
    provider: 'OpenAICompatible',
    answer: refused(400, { ...rejected, usage: { prompt_tokens: 4000, completion_tokens: 0 } }, prompt),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'a 400 with usage within its error',
    provider: 'OpenAI',
    answer: refused(400, { error: { ...rejected.error, usage: { prompt_tokens: 4000, completion_tokens: 0 } } }, prompt),
    outcome: 'bound',
  },
  {
    ...chatRow,
    name: 'a 500 with usage, whose errors are free',
    provider: 'OpenAICompatible',
    pool: { ...priced, freeErrors: true },
    answer: refused(500, { ...rejected, usage: { prompt_tokens: 4000, completion_tokens: 0 } }, prompt),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'a 400 with usage of Anthropic',
    provider: 'Anthropic',
    path: '/v1/messages',
    body: claude,
    answer: refused(
      400,
      { type: 'error', error: { type: 'invalid_request_error', message: 'x' }, usage: { input_tokens: 4000, output_tokens: 0 } },
      prompt,
    ),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'a 400 with usage of Gemini',
    provider: 'Gemini',
    path: '/v1beta/models/m:generateContent',
    body: gemini,
    answer: refused(400, { error: { code: 400, status: 'INVALID_ARGUMENT' }, usageMetadata: { promptTokenCount: 4000 } }, prompt),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'an error within a 200 answer that names its usage',
    provider: 'OpenRouter',
    answer: () => ({ body: { error: { code: 502, message: 'x' }, usage: { prompt_tokens: 4000, completion_tokens: 0 } }, usd: prompt }),
    outcome: 'exact',
  },
  ...(['OpenAI', 'Mistral', 'OpenRouter', 'OpenAICompatible'] as const).map((provider): Row => {
    return { ...chatRow, name: `a 400 of ${provider}`, provider, answer: refused(400, rejected, 0), outcome: 'exact', serves: 60 };
  }),
  {
    ...chatRow,
    name: 'a 404 of Anthropic',
    provider: 'Anthropic',
    path: '/v1/messages',
    body: claude,
    answer: refused(404, { type: 'error', error: { type: 'not_found_error', message: 'x' } }, 0),
    outcome: 'exact',
    serves: 60,
  },
  {
    ...chatRow,
    name: 'a 400 of Gemini',
    provider: 'Gemini',
    path: '/v1beta/models/m:generateContent',
    body: gemini,
    answer: refused(400, { error: { code: 400, status: 'INVALID_ARGUMENT' } }, 0),
    outcome: 'exact',
    serves: 60,
  },
  {
    ...chatRow,
    name: 'a call that succeeds',
    provider: 'AzureOpenAI',
    answer: () => ({ body: chatAnswer({ prompt_tokens: 4000, completion_tokens: 100 }), usd: prompt + 0.0008 }),
    outcome: 'exact',
  },
];

// Errors within a stream, as its first event.

const failure = { code: 'server_error', message: 'x' };
const chatUsed = { prompt_tokens: 4000, completion_tokens: 0 };
const responseUsed = { input_tokens: 4000, output_tokens: 0 };
const streamed = (body: string, usd: number) => () => ({ type: sse, body, usd });
const respondRow = { ...chatRow, path: '/v1/responses', body: { ...responses, stream: true } } as const;
const messageRow = { ...chatRow, provider: 'Anthropic', path: '/v1/messages', body: { ...claude, stream: true } } as const;
const geminiRow = { ...chatRow, provider: 'Gemini', path: '/v1beta/models/m:streamGenerateContent?alt=sse', body: gemini } as const;

const streams: readonly Row[] = [
  {
    ...chatRow,
    name: 'chat that names its usage',
    provider: 'OpenRouter',
    body: { ...chat, stream: true },
    answer: streamed(events([{ error: { ...failure, code: 502 }, choices: [], usage: chatUsed }], 'data: [DONE]\n\n'), prompt),
    outcome: 'exact',
  },
  {
    ...chatRow,
    name: 'chat that names its usage later',
    provider: 'OpenAI',
    body: { ...chat, stream: true },
    answer: streamed(events([{ error: { code: 'invalid_prompt' } }, { choices: [], usage: chatUsed }], 'data: [DONE]\n\n'), prompt),
    outcome: 'exact',
  },
  {
    ...respondRow,
    name: 'a response that names its usage',
    provider: 'OpenAI',
    answer: streamed(
      events([{ type: 'response.failed', response: { id: 'r', status: 'failed', error: failure, usage: responseUsed } }]),
      prompt,
    ),
    outcome: 'exact',
  },
  {
    ...respondRow,
    name: 'a response of OpenAI that names nothing',
    provider: 'OpenAI',
    answer: streamed(events([{ type: 'response.failed', response: { id: 'r', status: 'failed', error: failure, usage: null } }]), 0),
    outcome: 'exact',
    serves: 60,
  },
  {
    ...respondRow,
    name: 'a response of Azure that names nothing',
    provider: 'AzureOpenAI',
    answer: streamed(events([{ type: 'response.failed', response: { id: 'r', status: 'failed', error: failure, usage: null } }]), prompt),
    outcome: 'bound',
  },
  {
    ...messageRow,
    name: 'an overload of Anthropic',
    answer: streamed('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n', 0),
    outcome: 'exact',
    serves: 60,
  },
  {
    ...messageRow,
    name: 'an error of Anthropic after its message has begun',
    answer: streamed(
      events([
        { type: 'message_start', message: { id: 'm', content: [], usage: { input_tokens: 4000, output_tokens: 1 } } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
        { type: 'error', error: { type: 'overloaded_error', message: 'x' } },
      ]),
      prompt + 0.0008,
    ),
    outcome: 'bound',
  },
  {
    ...geminiRow,
    name: 'Gemini that names usage, but no end',
    answer: streamed(events([{ error: { code: 503, message: 'x' }, usageMetadata: { promptTokenCount: 4000 } }]), prompt),
    outcome: 'bound',
  },
  {
    ...geminiRow,
    name: 'an overload of Gemini',
    answer: streamed(events([{ error: { code: 503, message: 'x' } }]), 0),
    outcome: 'exact',
    serves: 20,
  },
];

tryRows('a stream that begins with an error', streams);
tryRows('a call that ends in an error', rows);
