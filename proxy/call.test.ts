import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { type ClientRequest, type IncomingMessage, request as requestTo, type ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import type { CallBody } from '../core/audit/types.ts';
import { isRefusal, refuse } from '../core/errors.ts';
import { poolName } from '../core/names.ts';
import { Call } from './call.ts';
import { geminiGenerate } from './dialect/gemini/requests.ts';
import { matchRoute } from './dialect/routes.ts';
import { createPurse, createWorld, type Purse, usage, type World } from './line.fixture.ts';
import type { InFlight } from './link/active-keys.ts';
import { serve } from './upstream/testbed.ts';
import type { Flight } from './upstream/types.ts';

interface Conversation {
  readonly world: World;
  readonly response: Response;
  readonly text: string;
}

/** Runs one call with this handler, and collects what its client receives. */
async function converse(
  t: TestContext,
  handle: (call: Call, response: ServerResponse, world: World) => Promise<void> | void,
  purse: Purse = createPurse(1_000_000),
): Promise<Conversation> {
  const world = createWorld(t, { purse });
  const done = Promise.withResolvers<void>();
  const origin = await serve(t, async (request, response) => {
    const route = matchRoute('POST', request.url ?? '', request.headers);
    if (isRefusal(route) || route.kind !== 'call') throw new Error('not a call');
    using call = new Call(world.context, { request, response, requestId: 'req_1' }, route, world.caller());
    world.clock.ms += 250;
    await Promise.resolve(handle(call, response, world)).then(done.resolve, done.reject);
  });
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  const response = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', body: '{}', headers });
  const text = await response.text();
  await done.promise;
  return { world, response, text };
}

function entry({ world }: Conversation): CallBody {
  assert.equal(world.purse.entries.length, 1);
  return world.purse.entries[0] as CallBody;
}

const ok = {
  code: 'ok',
  status: 200,
  settlement: { costNano: 200, usage: usage(100, 50), estimated: false },
  paidFrom: [],
  attempts: [],
} as const;

test('a call that is denied is one entry and one answer, which names what remains', async (t) => {
  const denial = refuse('budget_exhausted', 'Spent.', { limitedBy: 'agents/bot Day' });
  const conversation = await converse(t, (call) => call.deny(denial));
  const { code, status, limitedBy, costNanoUsd, attempts, trace, latencyMs } = entry(conversation);
  assert.deepEqual([code, status, limitedBy, costNanoUsd, attempts, latencyMs], ['budget_exhausted', 402, 'agents/bot Day', '0', [], 250]);
  assert.equal(trace, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.deepEqual([conversation.response.status, conversation.response.headers.get('x-keyforge-remaining-usd')], [402, '0.001']);
  assert.match(
    await conversation.world.metrics(),
    /keyforge_requests_total\{key="agents\/bot",endpoint="\/v1\/chat\/completions",code="budget_exhausted"\} 1/,
  );
});

test('a further refusal is counted without a text of its caller, and is answered as the first one is', async (t) => {
  const purse = createPurse(1_000_000, { counts: true });
  const { response, world } = await converse(
    t,
    (call) => {
      call.note({ model: 'a secret prompt' });
      return call.deny(refuse('model_denied', 'No.'));
    },
    purse,
  );
  const { tokenId } = world.caller();
  assert.deepEqual(purse.refused, [{ code: 'model_denied', endpoint: '/v1/chat/completions', model: 'other', tokenId }]);
  assert.deepEqual([response.status, response.headers.get('x-keyforge-remaining-usd'), purse.entries], [403, '0.001', []]);
  assert.match(
    await world.metrics(),
    /keyforge_requests_total\{key="agents\/bot",endpoint="\/v1\/chat\/completions",code="model_denied"\} 1/,
  );
});

test('a call that reached a provider, was counted by one or paid for is never counted with others', async (t) => {
  const attempt = { pool: poolName('sys', 'openai'), credential: 'a', status: 429, outcome: 'refused' } as const;
  const refused = { ...ok, code: 'provider_limited', status: 429, settlement: { costNano: 0, usage: null, estimated: false } } as const;
  const cases: readonly ((call: Call) => boolean)[] = [
    (call) => call.record({ ...refused, attempts: [attempt] }),
    (call) => {
      call.noteCount({ ...attempt, purpose: 'count' });
      return call.record(refused);
    },
    (call) => call.record({ ...refused, paidFrom: [{ grant: 'g-1', costNanoUsd: '0', requests: 1 }] }),
    (call) => call.record({ ...refused, settlement: { costNano: 0, usage: null, estimated: true } }),
    (call) => call.record({ ...ok, settlement: { costNano: 0, usage: null, estimated: false } }),
  ];
  for (const run of cases) {
    const conversation = await converse(
      t,
      (call, response) => {
        assert.equal(run(call), true);
        response.end();
      },
      createPurse(1_000_000, { counts: true }),
    );
    assert.deepEqual([conversation.world.purse.refused, conversation.world.purse.entries.length], [[], 1]);
  }
});

test('a refusal whose stream cannot be opened is still a refusal: nothing was served, nothing is recorded', async (t) => {
  const purse = createPurse(0, { notReady: refuse('grant_unavailable', 'Unreachable.') });
  const { response, world } = await converse(t, (call) => call.deny(refuse('model_denied', 'No.')), purse);
  assert.deepEqual([response.status, world.purse.entries], [403, []]);
});

test('what is noted on the way is in the entry, the body by its hash alone', async (t) => {
  const conversation = await converse(t, (call, response) => {
    call.note({ requestSha256: hash('sha256', 'a secret prompt') });
    call.note({ stream: true, model: 'fast' });
    assert.equal(call.record(ok), true);
    response.end();
  });
  const { stream, model, requestSha256, usage: used } = entry(conversation);
  assert.deepEqual([stream, model, requestSha256?.length, used?.output], [true, 'fast', 64, 50]);
  assert.ok(!JSON.stringify(entry(conversation)).includes('secret'));
});

test('an answer whose entry cannot be written is withheld', async (t) => {
  const { response, text, world } = await converse(t, (call, _, { purse }) => {
    purse.fill();
    assert.equal(call.record(ok), false);
  });
  assert.deepEqual([response.status, JSON.parse(text).error.code, world.purse.entries], [503, 'audit_unavailable', []]);
});

test('a stream whose entry cannot be written does not end cleanly', async (t) => {
  const { response, text } = await converse(t, (call, to, { purse }) => {
    to.writeHead(200).write('data: {}\n\n');
    purse.fill();
    assert.equal(call.record(ok), false);
  });
  assert.equal(response.status, 200);
  assert.match(text, /^data: \{\}\n\ndata: \{"error":.*"code":"audit_unavailable"/);
});

test('a call whose client left before anything was sent is an entry that says so', async (t) => {
  const conversation = await converse(t, async (call, response) => {
    await call.leave();
    response.end();
  });
  assert.deepEqual(
    [entry(conversation).code, entry(conversation).status, entry(conversation).costNanoUsd],
    ['client_disconnected', 499, '0'],
  );
});

test('a call that was ended from our side has the reason in its entry', async (t) => {
  const conversation = await converse(t, async (call) => {
    call.revoke(refuse('key_revoked', 'Deleted.'));
    assert.equal(call.isAbandoned, true);
    await call.leave();
  });
  assert.deepEqual([conversation.response.status, entry(conversation).code, entry(conversation).status], [401, 'key_revoked', 401]);
});

test('a call that a defect ended after it was sent is charged, and said to be an estimate', async (t) => {
  const conversation = await converse(t, (call, response) => {
    call.lose([{ grant: 'g-1', costNanoUsd: '700' }], 700);
    response.end();
  });
  const { code, status, estimated, costNanoUsd, paidFrom } = entry(conversation);
  assert.deepEqual([code, status, estimated, costNanoUsd], ['internal_error', 500, true, '700']);
  assert.deepEqual(paidFrom, [{ grant: 'g-1', costNanoUsd: '700' }]);
});

test('a call is in flight from its beginning to its end', async (t) => {
  const { world } = await converse(t, (call, response, { caller }) => {
    assert.deepEqual([...caller().active.inFlight], [call]);
    response.end();
  });
  assert.equal(world.caller().active.inFlight.size, 0);
});

const deleted = refuse('key_revoked', 'The key was deleted.');

interface OpenCall {
  readonly call: Call;
  readonly inFlight: ReadonlySet<InFlight>;
  readonly client: ClientRequest;
  /** Flights in drains, in order. */
  readonly taken: readonly Flight[];
  /** How many flights the drains took, and how many of them were over. */
  readonly drains: { readonly begun: number; readonly over: number };
  /** The answer: its status, and its text or `cut`. */
  readonly answer: Promise<{ readonly status: number; readonly text: string }>;
  /** Resolves when the server has seen the connection end. */
  readonly closed: Promise<void>;
}

const flight: Flight = { answer: new Promise(() => {}), onDisconnect: 'Drain', stop: () => {} };

/** A client that has sent its request, and its unanswered call. */
async function open(t: TestContext, path = '/v1/chat/completions'): Promise<OpenCall> {
  const taken: Flight[] = [];
  const drains = { begun: 0, over: 0 };
  const take = (_key: unknown, given: { stop(): void }): (() => void) => {
    taken.push(given as Flight);
    drains.begun += 1;
    return () => {
      drains.over += 1;
    };
  };
  const world = createWorld(t, { drains: { take, count: 0, stop: () => {} } });
  const { promise, resolve } = Promise.withResolvers<Pick<OpenCall, 'call' | 'closed'>>();
  const origin = await serve(t, (request, response) => {
    const route = matchRoute('POST', path, request.headers);
    if (isRefusal(route) || route.kind !== 'call') throw new Error('not a call');
    const call = new Call(world.context, { request, response, requestId: 'req_1' }, route, world.caller());
    resolve({ call, closed: new Promise((done) => response.on('close', () => done())) });
  });
  const client = requestTo(origin, { method: 'POST', agent: false });
  const answer = new Promise<IncomingMessage>((done, fail) => client.on('response', done).on('error', fail)).then(read);
  answer.catch(() => {});
  client.end('{}');
  return { ...(await promise), inFlight: world.caller().active.inFlight, client, taken, drains, answer };
}

async function read(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}

const byItself = { code: 'client_disconnected', status: 499 };
const byRevocation = { code: 'key_revoked', status: 401 };

test('a call is in flight until it is disposed, which also says that it is finished', async (t) => {
  const { call, inFlight } = await open(t);
  assert.deepEqual([...inFlight], [call]);
  let finished = false;
  void call.finished.then(() => {
    finished = true;
  });
  await settled();
  assert.equal(finished, false);
  call[Symbol.dispose]();
  await settled();
  assert.deepEqual([finished, inFlight.size], [true, 0]);
});

test('an answer that goes out whole abandons nothing', async (t) => {
  const { call, answer, closed, drains } = await open(t);
  call.attach(flight);
  call.response.end('whole');
  assert.equal((await answer).text, 'whole');
  await closed;
  assert.deepEqual([call.isAbandoned, drains], [false, { begun: 0, over: 0 }]);
});

for (const [when, start] of [
  ['before the head', () => {}],
  ['after the head', (call: Call) => void call.response.writeHead(200).write('data: {}\n\n')],
] as const) {
  test(`a client that leaves ${when} hands the flight to the drains once; the drain is over when the call is`, async (t) => {
    const { call, client, closed, drains } = await open(t);
    call.attach(flight);
    start(call);
    client.destroy();
    await closed;
    assert.deepEqual([call.isAbandoned, call.abandonedAs], [true, byItself]);
    assert.deepEqual(drains, { begun: 1, over: 0 });
    call.revoke(deleted);
    assert.deepEqual([call.abandonedAs, drains], [byItself, { begun: 1, over: 0 }]);
    call[Symbol.dispose]();
    assert.deepEqual(drains, { begun: 1, over: 1 });
  });
}

test('a flight that is attached to an abandoned call is handed over at once', async (t) => {
  const { call, client, closed, drains } = await open(t);
  client.destroy();
  await closed;
  call.attach(flight);
  assert.deepEqual(drains, { begun: 1, over: 0 });
});

test('a later flight takes the place of an earlier one, whose drain is over then', async (t) => {
  const { call, drains, taken } = await open(t);
  const replaced = { ...flight };
  call.attach(replaced);
  call.attach(flight);
  call.revoke(deleted);
  assert.deepEqual(drains, { begun: 1, over: 0 });
  assert.equal(taken[0], flight);
  call.attach({ ...flight });
  assert.deepEqual(drains, { begun: 2, over: 1 });
  assert.ok(!taken.includes(replaced));
  call[Symbol.dispose]();
  assert.deepEqual(drains, { begun: 2, over: 2 });
});

test('a revocation before the head is a refusal in the caller’s dialect, once', async (t) => {
  const { call, answer, closed, drains } = await open(t);
  call.attach(flight);
  call.revoke(deleted);
  call.revoke(refuse('key_expired', 'Expired.'));
  const { status, text } = await answer;
  assert.deepEqual([status, JSON.parse(text).error.code], [401, 'key_revoked']);
  await closed;
  assert.deepEqual([call.abandonedAs, call.isAbandoned], [byRevocation, true]);
  assert.deepEqual(drains, { begun: 1, over: 0 });
});

test('a revocation after the head is the dialect’s error event, once and last', async (t) => {
  const { call, answer } = await open(t);
  call.response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
  call.revoke(deleted);
  call.revoke(deleted);
  const { status, text } = await answer;
  assert.equal(status, 200);
  const events = text.split('\n\n').filter((event) => event !== '');
  assert.equal(events.length, 2);
  assert.equal(JSON.parse(events[1]?.replace('data: ', '') ?? '').error.code, 'key_revoked');
});

test('a client that leaves while it gets the reason of the end abandons nothing again', async (t) => {
  const { call, closed, drains } = await open(t);
  call.attach(flight);
  call.response.socket?.destroy();
  call.revoke(deleted);
  await closed;
  assert.deepEqual([drains, call.abandonedAs], [{ begun: 1, over: 0 }, byRevocation]);
});

test('a stream in a JSON array ends as its meter has it framed', async (t) => {
  const { call, answer } = await open(t, '/v1beta/models/gemini-3-pro:streamGenerateContent');
  const meter = geminiGenerate.meterStream('keep');
  call.startStream(meter);
  call.response.writeHead(200);
  for (const bytes of meter.push(Buffer.from('[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n'))) call.response.write(bytes);
  call.revoke(deleted);
  const items = JSON.parse((await answer).text);
  assert.equal(items.at(-1).error.status, 'UNAUTHENTICATED');
});

test('a call whose answer is out already cannot be ended any more', async (t) => {
  const { call, answer } = await open(t);
  call.response.end('whole');
  call.revoke(deleted);
  assert.deepEqual([call.isAbandoned, (await answer).text], [false, 'whole']);
});

test('after it is disposed a client that leaves is nobody’s concern', async (t) => {
  const { call, client, closed, drains } = await open(t);
  call.attach(flight);
  call[Symbol.dispose]();
  client.destroy();
  await closed;
  assert.deepEqual(drains, { begun: 0, over: 0 });
});
