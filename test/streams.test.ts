import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { CallBody } from '../core/audit/types.ts';
import { poolName } from '../core/names.ts';
import type { PoolDocument } from '../core/policy/documents.ts';
import { createWorld, openai, poolDocument, price } from '../proxy/line.fixture.ts';
import { serve as serveLine } from '../proxy/line.ts';
import { serve } from '../proxy/upstream/testbed.ts';
import { simulatedModels } from '../simulator/models.ts';
import { eventually, startWorld } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

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
  /** The same as one answer. */
  readonly answer: object;
  /** The error with which it begins a stream if it is overloaded. */
  readonly overloaded: string;
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
    answer: {
      id: 'c',
      model: 'm',
      choices: [{ index: 0, message: { content: 'hello' } }],
      usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
    },
    overloaded: data({ error: { message: 'busy', code: 'server_is_overloaded' } }),
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
    answer: { id: 'r', model: 'm', status: 'completed', output: [], usage: { input_tokens: 9, output_tokens: 4, total_tokens: 13 } },
    overloaded: typed({ type: 'response.failed', response: { id: 'r', error: { code: 'server_is_overloaded', message: 'busy' } } }),
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
    answer: { id: 'a', model: 'm', content: [{ type: 'text', text: 'hello' }], usage: { input_tokens: 9, output_tokens: 4 } },
    overloaded: typed({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
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
    answer: {
      candidates: [{ ...candidate, finishReason: 'STOP' }],
      modelVersion: 'm',
      usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 4, totalTokenCount: 13 },
    },
    overloaded: data({ error: { code: 503, message: 'busy', status: 'UNAVAILABLE' } }),
    errorEvent: /data: \{"error":/,
  },
};
/** At one nano-USD for input and two for output. */
const exactNano = 17;
const comment = ': keep-alive\n\n';

interface Bed {
  readonly context: ReturnType<typeof createWorld>['context'];
  /** Calls the API; a stream, unless `whole`. */
  call(more?: { readonly whole?: true; readonly signal?: AbortSignal }): Promise<Response>;
  record(): Promise<CallBody>;
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const { outputAudio: _, outputImage: __, ...rates } = price().rates;

type PoolPlan = Partial<PoolDocument> & {
  /** The answer of a second pool, at another endpoint. */
  readonly elsewhere?: Answer;
};

/** A proxy in front of a provider that answers so, once it has read the request. */
async function bed(t: TestContext, api: Api, answer: Answer, { elsewhere, ...more }: PoolPlan = {}): Promise<Bed> {
  const start = (given: Answer) => serve(t, (request, response) => void request.resume().on('end', () => given(response, request)));
  const book = [{ id: 'm', match: { equals: 'm' }, price: price({ rates }) }];
  const pools = [poolDocument({ provider: api.provider, endpoint: await start(answer), book, ...more })];
  if (elsewhere !== undefined) {
    const second = { pool: poolName('platform', 'elsewhere'), endpoint: await start(elsewhere) };
    pools.push(poolDocument({ provider: api.provider, book, ...second }));
  }
  const world = createWorld(t, { pools, document: { pools: pools.map(({ pool }) => pool) } });
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

for (const [id, api] of Object.entries(apis)) {
  const whole = api.events.join('');
  const keptAlive = { sseKeepAliveMs: 20 };

  test(`${id}: while the provider is silent, the client of a stream gets comments, never inside an event`, async (t) => {
    const [first, ...rest] = api.events;
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const answer: Answer = async (response) => {
      await gates[0]?.promise;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(first);
      await gates[1]?.promise;
      // The silence is within an event.
      response.write((rest[0] ?? '').slice(0, 10));
      await gates[2]?.promise;
      response.end((rest[0] ?? '').slice(10) + rest.slice(1).join(''));
    };
    const { call, record } = await bed(t, api, answer, keptAlive);
    const response = await call();
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.ok(response.headers.get('x-keyforge-request-id'));
    const reader = response.body?.getReader();
    let text = '';
    const until = async (done: () => boolean): Promise<void> => {
      while (!done()) {
        const piece = await reader?.read();
        if (piece?.done !== false) return;
        text += Buffer.from(piece.value).toString();
      }
    };
    await until(() => text.split(comment).length > 2);
    gates[0]?.resolve();
    await until(() => text.replace(/^(: keep-alive\n\n)+/, '').includes(`${first}${comment}`));
    gates[1]?.resolve();
    await pause(60);
    gates[2]?.resolve();
    await until(() => false);
    assert.equal(text.replaceAll(comment, ''), whole);
    assert.equal(charge(await record()), 'exact');
  });

  test(`${id}: after a comment, the provider's rejection is the error event of the stream`, async (t) => {
    const answer: Answer = async (response) => {
      await pause(80);
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"message":"no such voice"}}');
    };
    const { call, record } = await bed(t, api, answer, keptAlive);
    const response = await call();
    assert.equal(response.status, 200);
    const text = await response.text();
    assert.match(text, api.errorEvent);
    assert.match(text, /rejected the call \(400\): no such voice/);
    const entry = await record();
    assert.deepEqual([entry.code, entry.status, charge(entry)], ['provider_rejected', 400, 'nothing']);
  });

  test(`${id}: a whole answer gets no comments; white space before it is harmless`, async (t) => {
    const answer: Answer = async (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let piece = 0; piece < 4; piece += 1) {
        response.write('\n');
        await pause(20);
      }
      response.end(JSON.stringify(api.answer));
    };
    const { call, record } = await bed(t, api, answer, keptAlive);
    assert.deepEqual(await (await call({ whole: true })).json(), api.answer);
    assert.equal(charge(await record()), 'exact');
  });
}

test('a Gemini stream that is one JSON array gets no comments', async (t) => {
  const api = { ...(apis['gemini.generateContent'] as Api), streamPath: '/v1beta/models/m:streamGenerateContent' };
  const answer: Answer = async (response) => {
    await pause(80);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([api.answer]));
  };
  const { call } = await bed(t, api, answer, { sseKeepAliveMs: 20 });
  assert.deepEqual(await (await call()).json(), [api.answer]);
});

/** A client that leaves in the middle, and how long the provider's connection lives on. */
async function leave(t: TestContext, api: Api, { whole, ...more }: Partial<PoolDocument> & { readonly whole?: true }) {
  const left = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<'cut' | 'finished'>();
  const answer: Answer = async (response) => {
    response.on('close', () => closed.resolve(response.writableFinished ? 'finished' : 'cut'));
    response.writeHead(200, { 'content-type': whole ? 'application/json' : 'text/event-stream' });
    response.write(whole ? ' ' : api.events[0]);
    arrived.resolve();
    await left.promise;
    if (more.onDisconnect === 'Cancel') return;
    response.end(whole ? JSON.stringify(api.answer) : api.events.slice(1).join(''));
  };
  const { call, record, context } = await bed(t, api, answer, more);
  const client = new AbortController();
  const response = call({ signal: client.signal, ...(whole ? { whole } : {}) });
  if (whole) response.catch(() => {});
  else await (await response).body?.getReader().read();
  await arrived.promise;
  client.abort();
  await eventually(() => (more.onDisconnect === 'Cancel' || context.drains.count === 1 ? true : undefined), 'the drain');
  left.resolve();
  return { end: await closed.promise, record: await record() };
}

for (const [id, api] of Object.entries(apis)) {
  for (const whole of [undefined, true] as const) {
    const what = { ...(whole ? { whole } : {}) };
    const kind = whole ? 'a whole answer' : 'a stream';

    test(`${id}: if the client of ${kind} leaves, Cancel ends the provider's work at once and charges the bound`, async (t) => {
      const { end, record } = await leave(t, api, { ...what, onDisconnect: 'Cancel' });
      assert.deepEqual([end, record.code, charge(record)], ['cut', 'client_disconnected', 'bound']);
    });

    test(`${id}: if the client of ${kind} leaves, Drain reads on and charges the usage`, async (t) => {
      const { end, record } = await leave(t, api, what);
      assert.deepEqual([end, record.code, charge(record)], ['finished', 'client_disconnected', 'exact']);
    });
  }

  test(`${id}: a provider that is silent before its answer is provider_timeout, at the bound`, async (t) => {
    const { call, record } = await bed(t, api, () => {}, { timeouts: { firstByteMs: 60 } });
    const response = await call();
    assert.equal(response.status, 504);
    await response.text();
    const entry = await record();
    assert.deepEqual([entry.code, charge(entry)], ['provider_timeout', 'bound']);
  });

  test(`${id}: a stream that falls silent ends with an error event and is provider_timeout, at the bound`, async (t) => {
    const answer: Answer = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(api.events[0]);
    const { call, record } = await bed(t, api, answer, { timeouts: { idleMs: 60 } });
    const text = await (await call()).text();
    assert.ok(text.startsWith(api.events[0]));
    assert.match(text.slice(api.events[0].length), api.errorEvent);
    const entry = await record();
    assert.deepEqual([entry.code, charge(entry)], ['provider_timeout', 'bound']);
  });

  test(`${id}: a stream whose bytes flow is not cut, however long it takes`, async (t) => {
    const answer: Answer = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(api.events[0]);
      for (let piece = 0; piece < 30; piece += 1) {
        await pause(10);
        response.write(': thinking\n\n');
      }
      response.end(api.events.slice(1).join(''));
    };
    const { call, record } = await bed(t, api, answer, { timeouts: { firstByteMs: 150, idleMs: 150 } });
    await (await call()).text();
    assert.equal(charge(await record()), 'exact');
  });

  const page: (status: number) => Answer = (status) => (response) =>
    response.writeHead(status, { 'content-type': 'text/html' }).end('<html><h1>Error</h1></html>');
  const events: Answer = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(api.events.join(''));

  for (const status of [503, 521, 523]) {
    test(`${id}: an edge's page with ${status} costs nothing, and the next pool at another endpoint serves the call`, async (t) => {
      const { call, record } = await bed(t, api, page(status), { elsewhere: events });
      assert.equal(await (await call()).text(), api.events.join(''));
      const entry = await record();
      assert.deepEqual(
        entry.attempts.map((attempt) => [attempt.pool, attempt.status]),
        [
          ['platform/openai', status],
          ['platform/elsewhere', 200],
        ],
      );
      assert.equal(charge(entry), 'exact');
      const alone = await bed(t, api, page(status));
      assert.equal((await alone.call()).status, status);
      assert.equal(charge(await alone.record()), 'nothing');
    });
  }

  test(`${id}: a stream that begins with the error of an overloaded provider costs nothing, and the next pool serves the call`, async (t) => {
    const closed = Promise.withResolvers<void>();
    const answer: Answer = (response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(api.overloaded);
    };
    const { call, record } = await bed(t, api, answer, { elsewhere: events });
    assert.equal(await (await call()).text(), api.events.join(''));
    await closed.promise;
    const entry = await record();
    assert.deepEqual([entry.attempts.length, charge(entry)], [2, 'exact']);
  });

  test(`${id}: a limited call without a retry left gets the provider's answer, or that of the next pool`, async (t) => {
    const keys = ['proj-a', 'proj-b'].map((name) => ({ name, quotaScope: name }));
    let seen = 0;
    const limits: Answer = (response) => {
      seen += 1;
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '7' }).end('{"error":{"message":"slower"}}');
    };
    for (const more of [{}, { elsewhere: events }]) {
      const { call, record, context } = await bed(t, api, limits, { keys, ...more });
      while (context.upstream.pools.takeRetry(openai));
      const response = await call();
      const text = await response.text();
      const served = 'elsewhere' in more;
      assert.deepEqual([response.status, text], served ? [200, api.events.join('')] : [429, '{"error":{"message":"slower"}}']);
      if (!served) assert.equal(response.headers.get('retry-after'), '7');
      assert.equal(charge(await record()), served ? 'exact' : 'nothing');
    }
    assert.equal(seen, 2);
  });

  for (const status of [502, 504, 522, 524]) {
    test(`${id}: an edge's page with ${status} costs the bound, and nothing else is tried`, async (t) => {
      const { call, record } = await bed(t, api, page(status), { elsewhere: events });
      assert.equal((await call()).status, status);
      const entry = await record();
      assert.equal(entry.attempts.length, 1);
      assert.equal(charge(entry), 'bound');
    });
  }
}

test('Cancel after the provider has ended its stream charges the usage', async (t) => {
  const api = apis['openai.chat'] as Api;
  const left = Promise.withResolvers<void>();
  const answer: Answer = async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(api.events.join(''));
    await left.promise;
    response.end();
  };
  const { call, record, context } = await bed(t, api, answer, { onDisconnect: 'Cancel' });
  const client = new AbortController();
  const reader = (await call({ signal: client.signal })).body?.getReader();
  let text = '';
  while (!text.includes('[DONE]')) text += Buffer.from((await reader?.read())?.value ?? []).toString();
  client.abort();
  await eventually(() => (context.drains.count === 1 ? true : undefined), 'the drain');
  left.resolve();
  assert.equal(charge(await record()), 'exact');
});

test('Cancel at a price of 0 costs nothing', async (t) => {
  const free = { id: 'm', match: { equals: 'm' }, price: price({}, 0, 0) };
  const { end, record } = await leave(t, apis['openai.chat'] as Api, { onDisconnect: 'Cancel', book: [free] });
  assert.deepEqual([end, charge(record)], ['cut', 'nothing']);
});

test('a pool file says that a client that leaves cancels the call', async () => {
  const models = simulatedModels.filter((model) => model.family === 'openai');
  await using world = await startWorld({
    pools: (url) => {
      const pool = poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: url, models });
      return `${pool}  onDisconnect: Cancel\n  timeouts: {connect: 5s, firstByte: 1m, idle: 1m}\n  maxConnections: 8\n  sseKeepAlive: 15s\n`;
    },
    keys: { 'bot.yaml': keyManifest('bot', { pools: [{ name: 'openai', namespace: 'keyforge-system' }] }) },
  });
  world.provider.rule({ conditions: { outputTokens: 100, msPerToken: 1000 } });
  const client = new AbortController();
  const response = await fetch(`${world.proxyUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...ask, model: 'gpt-5.4-mini', max_tokens: 100, stream: true }),
    signal: client.signal,
  });
  await response.body?.getReader().read();
  client.abort();
  // Drained, it would take longer than this waits.
  const [entry] = await world.records(1);
  assert.deepEqual([entry?.code, entry?.estimated], ['client_disconnected', true]);
});
