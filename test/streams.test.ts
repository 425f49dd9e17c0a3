import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { CallBody } from '../core/audit/types.ts';
import type { PoolDocument } from '../core/policy/documents.ts';
import { createWorld, poolDocument, price } from '../proxy/line.fixture.ts';
import { serve as serveLine } from '../proxy/line.ts';
import { serve } from '../proxy/upstream/testbed.ts';
import { eventually } from './harness.ts';

/** One API: how to ask for a stream or a whole answer, and the events of an answer of 9 + 4 tokens. */
interface Api {
  readonly provider: PoolDocument['provider'];
  readonly streamPath: string;
  readonly wholePath: string;
  readonly body: object;
  /** Only in the body of a stream. */
  readonly streamFlag: object;
  /** The first has content. */
  readonly events: readonly [first: string, ...rest: string[]];
  /** What its error event contains. */
  readonly errorEvent: RegExp;
}

function data(value: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
}

function typed(value: { readonly type: string } & Record<string, unknown>): string {
  return data(value, value.type);
}

const ask = { model: 'm', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5000 };
const candidate = { content: { role: 'model', parts: [{ text: 'hello' }] } };
const apis: Readonly<Record<string, Api>> = {
  'openai.chat': {
    ...{ provider: 'OpenAI', streamPath: '/v1/chat/completions', wholePath: '/v1/chat/completions', body: ask },
    streamFlag: { stream: true, stream_options: { include_usage: true } },
    events: [
      data({ id: 'c', model: 'm', choices: [{ index: 0, delta: { content: 'hello' }, finish_reason: null }] }),
      data({ id: 'c', model: 'm', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      data({ id: 'c', model: 'm', choices: [], usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 } }),
      data('[DONE]'),
    ],
    errorEvent: /data: \{"error":/,
  },
  'openai.responses': {
    ...{ provider: 'OpenAI', streamPath: '/v1/responses', wholePath: '/v1/responses' },
    body: { model: 'm', input: 'hi', max_output_tokens: 5000 },
    streamFlag: { stream: true },
    events: [
      typed({ type: 'response.output_text.delta', sequence_number: 1, delta: 'hello' }),
      typed({
        type: 'response.completed',
        sequence_number: 2,
        response: { id: 'r', model: 'm', status: 'completed', output: [], usage: { input_tokens: 9, output_tokens: 4, total_tokens: 13 } },
      }),
    ],
    errorEvent: /event: response\.failed/,
  },
  'anthropic.messages': {
    ...{ provider: 'Anthropic', streamPath: '/v1/messages', wholePath: '/v1/messages', body: ask, streamFlag: { stream: true } },
    events: [
      typed({ type: 'message_start', message: { id: 'a', model: 'm', usage: { input_tokens: 9, output_tokens: 1 } } }) +
        typed({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } }),
      typed({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } }),
      typed({ type: 'message_stop' }),
    ],
    errorEvent: /event: error/,
  },
  'gemini.generateContent': {
    ...{ provider: 'Gemini', streamPath: '/v1beta/models/m:streamGenerateContent?alt=sse', wholePath: '/v1beta/models/m:generateContent' },
    body: { contents: [{ role: 'user', parts: [{ text: 'hi' }] }], generationConfig: { maxOutputTokens: 5000 } },
    streamFlag: {},
    events: [
      data({ candidates: [candidate], modelVersion: 'm' }),
      data({
        candidates: [{ ...candidate, finishReason: 'STOP' }],
        modelVersion: 'm',
        usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 4, totalTokenCount: 13 },
      }),
    ],
    errorEvent: /data: \{"error":/,
  },
};
/** At one nano-USD for input and two for output. */
const exactNano = 17;

interface Bed {
  readonly context: ReturnType<typeof createWorld>['context'];
  /** Calls the API; a stream, unless `whole`. */
  call(more?: { readonly whole?: true; readonly signal?: AbortSignal }): Promise<Response>;
  record(): Promise<CallBody>;
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const { outputAudio: _, outputImage: __, ...rates } = price().rates;

/** A proxy in front of a provider that answers so, once it has read the request. */
async function bed(t: TestContext, api: Api, answer: Answer, more: Partial<PoolDocument> = {}): Promise<Bed> {
  const endpoint = await serve(t, (request, response) => void request.resume().on('end', () => answer(response, request)));
  const book = [{ id: 'm', match: { equals: 'm' }, price: price({ rates }) }];
  const world = createWorld(t, { pools: [poolDocument({ provider: api.provider, endpoint, book, ...more })] });
  const origin = await serve(t, (request, response) => void serveLine(world.context, request, response));
  return {
    context: world.context,
    call: ({ whole, signal } = {}) =>
      fetch(origin + (whole ? api.wholePath : api.streamPath), {
        method: 'POST',
        headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...api.body, ...(whole ? {} : api.streamFlag) }),
        ...(signal === undefined ? {} : { signal }),
      }),
    record: () => eventually(() => world.purse.entries[0] as CallBody | undefined, 'the record'),
  };
}

/** What was charged: exactly, the bound (more than 5,000 tokens at 2 nano-USD), or nothing. */
function charge({ costNanoUsd, estimated }: CallBody): 'exact' | 'bound' | 'nothing' | string {
  const nano = Number(costNanoUsd);
  if (nano === exactNano && !estimated) return 'exact';
  if (nano > 10_000 && estimated) return 'bound';
  return nano === 0 ? 'nothing' : `${nano} ${estimated}`;
}

const headers = [{ 'content-type': 'application/json' }, { 'content-type': 'text/plain' }, { 'content-type': 'Text/Event-Stream' }, {}];
const beginnings = ['', '\ufeff', ' \n', 'id: 1\n', 'retry: 100\n', ': hello\n\n'];

for (const [id, api] of Object.entries(apis)) {
  const whole = api.events.join('');

  test(`${id}: a requested stream is one by its first bytes, whatever its content type: passed on as it comes and metered exactly`, async (t) => {
    for (const header of headers) {
      const gate = Promise.withResolvers<void>();
      const { call, record } = await bed(t, api, async (response) => {
        response.writeHead(200, header).write(api.events[0]);
        await gate.promise;
        response.end(api.events.slice(1).join(''));
      });
      const response = await call();
      const reader = response.body?.getReader();
      const first = await reader?.read();
      assert.ok(
        Buffer.from(first?.value ?? [])
          .toString()
          .includes('hello') || id === 'anthropic.messages',
        JSON.stringify(header),
      );
      gate.resolve();
      for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read());
      assert.equal(charge(await record()), 'exact', JSON.stringify(header));
    }
  });

  test(`${id}: a stream without content type may begin with a mark, white space, a comment or another field`, async (t) => {
    for (const beginning of beginnings) {
      const { call, record } = await bed(t, api, (response) => response.writeHead(200).end(beginning + whole));
      assert.equal(await (await call()).text(), (beginning + whole).replace(/^\ufeff/, ''));
      assert.equal(charge(await record()), 'exact', JSON.stringify(beginning));
    }
  });

  test(`${id}: white space in pieces before a stream hides nothing of it`, async (t) => {
    const { call, record } = await bed(t, api, async (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let piece = 0; piece < 3; piece += 1) {
        response.write('\n'.repeat(10));
        await pause(5);
      }
      response.end(whole);
    });
    await (await call()).text();
    assert.equal(charge(await record()), 'exact');
  });

  test(`${id}: events in place of a whole answer are charged by their usage`, async (t) => {
    for (const header of headers) {
      const { call, record } = await bed(t, api, (response) => response.writeHead(200, header).end(whole));
      assert.equal(await (await call({ whole: true })).text(), whole);
      assert.equal(charge(await record()), 'exact', JSON.stringify(header));
    }
  });
}
