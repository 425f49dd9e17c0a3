import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { CallBody } from '../core/audit/types.ts';
import { isRefusal, refuse } from '../core/errors.ts';
import { beginCall, type Call } from './call.ts';
import { matchRoute } from './dialect/routes.ts';
import { createPurse, createWorld, type Purse, usage, type World } from './line.fixture.ts';
import { serve } from './upstream/testbed.ts';

interface Conversation {
  readonly world: World;
  readonly response: Response;
  readonly text: string;
}

/** One call that is handled so, and what its client gets. */
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
    using call = beginCall(world.line, { request, response, requestId: 'req_1' }, route, world.caller());
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
  const told = await converse(t, (call) => call.deny(denial));
  const { code, status, limitedBy, costNanoUsd, attempts, trace, latencyMs } = entry(told);
  assert.deepEqual([code, status, limitedBy, costNanoUsd, attempts, latencyMs], ['budget_exhausted', 402, 'agents/bot Day', '0', [], 250]);
  assert.equal(trace, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.deepEqual([told.response.status, told.response.headers.get('x-keyforge-remaining-usd')], [402, '0.001']);
  assert.match(
    await told.world.metrics(),
    /keyforge_requests_total\{key="agents\/bot",endpoint="\/v1\/chat\/completions",code="budget_exhausted"\} 1/,
  );
});

test('a refusal whose stream cannot be opened is still a refusal: nothing was served, nothing is recorded', async (t) => {
  const purse = createPurse(0, { notReady: refuse('grant_unavailable', 'Out of reach.') });
  const { response, world } = await converse(t, (call) => call.deny(refuse('model_denied', 'No.')), purse);
  assert.deepEqual([response.status, world.purse.entries], [403, []]);
});

test('what is noted on the way is in the entry, the body by its hash alone', async (t) => {
  const told = await converse(t, (call, response) => {
    call.note({ bytes: Buffer.from('a secret prompt') });
    call.note({ stream: true, model: 'fast' });
    assert.equal(call.record(ok), true);
    response.end();
  });
  const { stream, model, requestSha256, usage: used } = entry(told);
  assert.deepEqual([stream, model, requestSha256?.length, used?.output], [true, 'fast', 64, 50]);
  assert.ok(!JSON.stringify(entry(told)).includes('secret'));
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
  const told = await converse(t, async (call, response) => {
    await call.leave();
    response.end();
  });
  assert.deepEqual([entry(told).code, entry(told).status, entry(told).costNanoUsd], ['client_disconnected', 499, '0']);
});

test('a call that was ended from our side has the reason in its entry', async (t) => {
  const told = await converse(t, async (call) => {
    call.exchange.end(refuse('key_revoked', 'Deleted.'));
    assert.equal(call.exchange.abandoned, true);
    await call.leave();
  });
  assert.deepEqual([told.response.status, entry(told).code, entry(told).status], [401, 'key_revoked', 401]);
});

test('a call that a defect ended after it left is charged, and said to be an estimate', async (t) => {
  const told = await converse(t, (call, response) => {
    call.lose([{ grant: 'g-1', costNanoUsd: '700' }], 700);
    response.end();
  });
  const { code, status, estimated, costNanoUsd, paidFrom } = entry(told);
  assert.deepEqual([code, status, estimated, costNanoUsd], ['internal_error', 500, true, '700']);
  assert.deepEqual(paidFrom, [{ grant: 'g-1', costNanoUsd: '700' }]);
});

test('a call is in flight from its beginning to its end', async (t) => {
  const { world } = await converse(t, (call, response, { caller }) => {
    assert.deepEqual([...caller().served.inFlight], [call.exchange]);
    response.end();
  });
  assert.equal(world.caller().served.inFlight.size, 0);
});
