import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { CallBody } from '../core/audit/types.ts';
import type { ProviderKind } from '../core/manifest/providers.ts';
import { createWorld, poolDocument, price } from './line.fixture.ts';
import { serve as serveLine } from './line.ts';
import { json, serve } from './upstream/testbed.ts';

interface Plan {
  readonly provider?: ProviderKind;
  readonly freeErrors?: true;
  readonly path?: string;
  readonly body?: object;
  readonly answer: (response: ServerResponse) => void;
}

interface Charged {
  readonly costNano: number;
  readonly estimated: boolean;
  /** Dollars by labels of `keyforge_free_errors_held_usd_total`. */
  readonly heldFree: readonly string[];
}

const { outputAudio: _, outputImage: __, ...rates } = price().rates;
/** The price of a model that makes nothing but text. */
const onlyWrites = price({ rates });

/** One call of an uncapped key, whose bound is what it reserves, to a provider that answers so. */
async function charge(t: TestContext, { provider = 'OpenAI', freeErrors, path, body, answer }: Plan): Promise<Charged> {
  const endpoint = await serve(t, (request, response) => void request.resume().on('end', () => answer(response)));
  const book = [{ id: 'm', match: { equals: 'm' }, price: onlyWrites }];
  const pool = poolDocument({ provider, endpoint, book, ...(freeErrors === undefined ? {} : { freeErrors }) });
  const world = createWorld(t, { pools: [pool] });
  const origin = await serve(t, (request, response) => void serveLine(world.context, request, response));
  const response = await fetch(origin + (path ?? '/v1/chat/completions'), {
    method: 'POST',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5000, ...body }),
  });
  await response.text();
  const [entry] = world.purse.entries as readonly CallBody[];
  assert.ok(entry !== undefined);
  const metrics = (await world.metrics()).split('\n').filter((line) => line.startsWith('keyforge_free_errors_held_usd_total'));
  return { costNano: Number(entry.costNanoUsd), estimated: entry.estimated, heldFree: metrics };
}

/** More than 5,000 tokens of output at 2 nano-USD: only the bound is so much. */
function isBound({ costNano, estimated }: Charged): boolean {
  return costNano > 10_000 && estimated;
}

const filtered = { error: { message: 'filtered', code: 'content_filter', innererror: { code: 'ResponsibleAIPolicyViolation' } } };

test('a rejected request costs nothing, and the dollars that were held for it are counted', async (t) => {
  const charged = await charge(t, { answer: (response) => json(response, 400, { error: { message: 'bad' } }) });
  assert.deepEqual([charged.costNano, charged.estimated], [0, false]);
  assert.match(charged.heldFree[0] ?? '', /\{pool="platform\/openai",status="400",code="http_400"\} 0\.0000\d+$/);
});

test('a prompt that Azure’s content filter refuses costs the bound', async (t) => {
  const charged = await charge(t, { provider: 'AzureOpenAI', answer: (response) => json(response, 400, filtered) });
  assert.ok(isBound(charged));
  assert.deepEqual(charged.heldFree, []);
});

test('an error with usage costs what it used', async (t) => {
  const usage = { prompt_tokens: 100, completion_tokens: 50 };
  const charged = await charge(t, { answer: (response) => json(response, 429, { error: { message: 'late' }, usage }) });
  assert.deepEqual([charged.costNano, charged.estimated], [200, false]);
});

test('a 502 of a server of unknown make costs the bound, and nothing if its pool says so', async (t) => {
  const answer = (response: ServerResponse): void => void response.writeHead(502).end('<html>');
  assert.ok(isBound(await charge(t, { provider: 'OpenAICompatible', answer })));
  assert.equal((await charge(t, { provider: 'OpenAICompatible', answer, freeErrors: true })).costNano, 0);
});

const rejected = 'data: {"error":{"code":"invalid_prompt"}}\n\n';

for (const [what, rest, cost] of [
  ['nothing more costs nothing', '', 0],
  [
    'an answer costs what it used',
    'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n',
    17,
  ],
  ['usage alone costs what it used', 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n', 17],
] as const) {
  test(`a stream that begins with a free error and goes on to ${what}`, async (t) => {
    for (const ms of [0, 50]) {
      const answer = (response: ServerResponse): void => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(rejected);
        setTimeout(() => response.end(`${rest}data: [DONE]\n\n`), ms);
      };
      const charged = await charge(t, { body: { stream: true }, answer });
      assert.deepEqual([charged.costNano, charged.estimated], [cost, false]);
    }
  });
}

test('a stream that begins with a free error and goes on to content without usage costs the bound', async (t) => {
  for (const ms of [0, 50]) {
    const answer = (response: ServerResponse): void => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(rejected);
      setTimeout(() => response.end('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'), ms);
    };
    assert.ok(isBound(await charge(t, { body: { stream: true }, answer })));
  }
});

test('an answer too large to hold costs what it used', async (t) => {
  const large = { choices: [{ message: { content: 'x'.repeat(9_000_000) } }], usage: { prompt_tokens: 9, completion_tokens: 4 } };
  const charged = await charge(t, { answer: (response) => json(response, 200, large) });
  assert.deepEqual([charged.costNano, charged.estimated], [17, false]);
});

const text = (events: readonly object[], last = ''): string => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('') + last;
const done = 'data: [DONE]\n\n';
const chunk = (content: string, finish_reason: string | null = null): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  model: 'm',
  choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason }],
});
const stream = (body: string) => (response: ServerResponse) =>
  void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(body);
const chat = [chunk('Hello'), chunk(' wörld'), chunk('', 'stop')];

/** A charge between the bytes that streamed at the output price and 200 tokens more: far below the bound. */
function isByBytes({ costNano, estimated }: Charged, bytes: number): boolean {
  return estimated && costNano > 2 * bytes && costNano < 2 * (bytes + 200) + 2000;
}

const ends: readonly (readonly [string, Plan, number])[] = [
  ['chat by [DONE]', { answer: stream(text([chunk('Hello'), chunk(' wörld')], done)) }, 12],
  ['chat by a finish reason', { answer: stream(text(chat)) }, 12],
  [
    'chat with calls of tools',
    {
      answer: stream(
        text([
          { choices: [{ delta: { tool_calls: [{ id: 'call_1', function: { name: 'search', arguments: '{"q":"x"}' } }] } }] },
          chunk('', 'tool_calls'),
        ]),
      ),
    },
    15,
  ],
  [
    'Responses by its last event',
    {
      path: '/v1/responses',
      body: { input: 'hi', messages: undefined, max_tokens: undefined, max_output_tokens: 5000 },
      answer: stream(
        text([
          { type: 'response.output_text.delta', delta: 'Hello' },
          { type: 'response.output_text.done', text: 'Hello' },
          { type: 'response.completed', response: { output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }] } },
        ]),
      ),
    },
    5,
  ],
];

for (const [what, plan, bytes] of ends) {
  test(`a stream that the provider ended without usage costs what has streamed: ${what}`, async (t) => {
    assert.ok(isByBytes(await charge(t, { ...plan, body: { stream: true, ...plan.body } }), bytes));
  });
}

const messages = [
  { type: 'message_start', message: { model: 'm', content: [] } },
  { type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 'toolu_1', name: 'search', input: {} } },
  { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '{"q":"x"}' } },
  { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
  { type: 'message_stop' },
];

test('an Anthropic stream that the provider ended without usage costs what has streamed', async (t) => {
  const plan = { provider: 'Anthropic', path: '/v1/messages', body: { stream: true } } as const;
  assert.ok(isByBytes(await charge(t, { ...plan, answer: stream(text(messages)) }), 15));
  assert.ok(isBound(await charge(t, { ...plan, answer: stream(text(messages.slice(0, -1))) })));
});

test('a Gemini stream that the provider ended without usage costs what has streamed', async (t) => {
  const plan = {
    provider: 'Gemini',
    path: '/v1beta/models/m:streamGenerateContent?alt=sse',
    body: {
      model: undefined,
      messages: undefined,
      max_tokens: undefined,
      contents: [{ parts: [{ text: 'hi' }] }],
      generationConfig: { maxOutputTokens: 5000, responseModalities: ['TEXT'] },
    },
  } as const;
  const parts = [{ text: 'Hello' }, { functionCall: { name: 'search', args: { n: 1234567890 } } }];
  const open = { candidates: [{ content: { parts } }] };
  const end = { candidates: [{ content: { parts: [] }, finishReason: 'STOP' }] };
  assert.ok(isByBytes(await charge(t, { ...plan, answer: stream(text([open, end])) }), 27));
  assert.ok(isBound(await charge(t, { ...plan, answer: stream(text([open])) })));
});

const notEnded: readonly (readonly [string, Plan])[] = [
  [
    'that breaks',
    {
      answer: (response) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text(chat), () => response.destroy()),
    },
  ],
  ['without an end', { answer: stream(text([chunk('Hello')])) }],
  ['whose text says [DONE]', { answer: stream(`data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n`) }],
  ['that ends with an error', { answer: stream(text([chunk('Hello'), { error: { code: 'server_error' } }], done)) }],
  ['of two answers', { body: { n: 2 }, answer: stream(text(chat, done)) }],
  ['of a request with a prediction', { body: { prediction: { type: 'content', content: 'x' } }, answer: stream(text(chat, done)) }],
  ['of a request that asks for thoughts', { body: { reasoning_effort: 'low' }, answer: stream(text(chat, done)) }],
];

for (const [what, plan] of notEnded) {
  test(`a stream without usage ${what} costs the bound`, async (t) => {
    assert.ok(isBound(await charge(t, { ...plan, body: { stream: true, ...plan.body } })));
  });
}

test('after an error within a stream, OpenRouter charges nothing more, so what has streamed is charged', async (t) => {
  const answer = stream(text([chunk('Hello'), { error: { code: 502 }, choices: [{ delta: {}, finish_reason: 'error' }] }]));
  assert.ok(isByBytes(await charge(t, { provider: 'OpenRouter', body: { stream: true }, answer }), 5));
});
