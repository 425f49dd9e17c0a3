import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { type KeyName, keyName } from '../../core/names.ts';
import type { AccountNode, AccountPlan, KeyDocument } from '../../core/policy/documents.ts';
import type { Grant, GrantReply, GrantRequest, WaitingNeed } from '../../core/protocol/money.ts';
import { createBatch } from '../store/batch.ts';
import { AskQueue } from './ask-queue.ts';
import { body, callBody, type FakeProxy, fakeWorld } from './fake-world.ts';

const team = keyName('agents', 'team');
const bot = keyName('agents', 'bot');
const other = keyName('agents', 'other');
const start = Date.UTC(2026, 10, 21, 12);
const dayMs = 86_400_000;

interface Sent {
  readonly holdMs: number;
  readonly waitedMs: number;
  readonly maxWaitMs: number;
  readonly atLeastNano: number;
  readonly wantNano: number;
  readonly requests: 0 | 1;
  readonly others: readonly WaitingNeed[];
  readonly signal: AbortSignal;
}

/** A queue over a ledger with one team of this budget a day, a clock that a test moves, and the recalls that were pushed. */
function createWorld(t: TestContext, usdNano: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const world = fakeWorld(start);
  const caps = { usdNano, requestsPerMinute: undefined as number | undefined };
  const documents = new Map([bot, other].map((key) => [key, { key } as KeyDocument]));
  const recalls: string[] = [];
  const planOf = (key: KeyName): AccountPlan => {
    const root: AccountNode = { key: team, limits: [{ window: 'Day', usdNano: caps.usdNano, timeZone: 'Etc/UTC' }], rate: {} };
    const { requestsPerMinute } = caps;
    return {
      key,
      path: [team, key],
      nodes: [root, { key, limits: [], rate: requestsPerMinute === undefined ? {} : { requestsPerMinute } }],
    };
  };
  const queue = new AskQueue({
    batch: createBatch(world.store),
    live: () => ({ documents, plans: new Map([bot, other].map((key) => [key, planOf(key)])) }),
    push: ({ keys, whole = false }) => void recalls.push(`${keys.join()}${whole ? ' whole' : ''}`),
    monotonic: () => world.clock.nowMs,
  });
  let sent = 0;
  const results: string[] = [];
  return {
    queue,
    caps,
    documents,
    recalls,
    results,
    clock: world.clock,
    proxy: (key: KeyName, instance: string) => world.proxy(key, instance),
    /** Sends a request for `nano`; the result, when it comes, is noted under `name`. */
    ask(name: string, { stream, epoch, head }: FakeProxy, nano: number, more: Partial<Sent> = {}): Promise<GrantReply> {
      const { holdMs = 30_000, waitedMs = 0, maxWaitMs = 30_000, atLeastNano = nano, wantNano = nano, requests = 0, others = [] } = more;
      const figures = {
        atLeastNano,
        preferredNano: nano,
        boundNano: nano,
        wantNano,
        atLeastRequests: requests,
        wantRequests: requests,
        tokens: 0,
      };
      const request: GrantRequest = {
        ...{ stream, epoch, head, askId: `${++sent}` },
        ...figures,
        wait: { waitedMs, maxWaitMs, holdMs, others },
      };
      const reply = queue.grant(request, more.signal);
      const note = (answer: GrantReply): void =>
        void results.push(`${name} ${'grant' in answer ? answer.grant.amountNano : answer.denial.code}`);
      void reply.then(note, () => {});
      return reply;
    },
    /** Lets the queue work, and moves the clock. */
    async pass(ms = 0): Promise<void> {
      await rest();
      world.clock.nowMs += ms;
      t.mock.timers.tick(ms);
      await rest();
    },
    settle(proxy: FakeProxy, grant: string, nano: number): void {
      proxy.write(callBody(proxy.key, [{ grant, costNanoUsd: String(nano) }]));
      proxy.ship();
      queue.released();
    },
    async release(proxy: FakeProxy, grants: readonly string[]): Promise<void> {
      proxy.write(body('release', { grants }));
      proxy.ship();
      queue.released();
      await rest();
    },
  };
}

async function rest(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await settled();
}

async function granted(reply: Promise<GrantReply>): Promise<Grant> {
  const answer = await reply;
  assert.ok('grant' in answer, JSON.stringify(answer));
  return answer.grant;
}

test('a request that others make wait is granted when they release, and denied as reserved when its time is over', async (t) => {
  const world = createWorld(t, 100);
  const [first, second] = [world.proxy(bot, 'p1'), world.proxy(other, 'p2')];
  const { id } = await granted(world.ask('a', first, 100));
  void world.ask('b', second, 60);
  void world.ask('c', world.proxy(other, 'p3'), 60);
  await world.pass(29_000);
  assert.deepEqual(world.results, ['a 100']);
  await world.release(first, [id]);
  assert.deepEqual(world.results, ['a 100', 'b 60']);
  await world.pass(1_000);
  assert.deepEqual(world.results, ['a 100', 'b 60', 'c budget_reserved']);
  assert.deepEqual([...new Set(world.recalls)], ['agents/bot', 'agents/bot whole', 'agents/other whole'], 'what is kept must come back');
});

test('what can never come back is denied at once, also while the request waits', async (t) => {
  const world = createWorld(t, 100);
  const first = world.proxy(bot, 'p1');
  void world.ask('dear', world.proxy(other, 'p3'), 101);
  await world.pass();
  const { id } = await granted(world.ask('a', first, 100));
  void world.ask('b', world.proxy(other, 'p2'), 60);
  await world.pass(1);
  world.settle(first, id, 50);
  await world.pass();
  assert.deepEqual(world.results, ['dear request_too_expensive', 'a 100', 'b budget_exhausted']);
});

test('keys take turns, and within a key age counts, whichever proxy asks', async (t) => {
  const world = createWorld(t, 100);
  const holder = world.proxy(bot, 'p0');
  const { id } = await granted(world.ask('holder', holder, 100));
  const asks = [
    ['bot young', world.proxy(bot, 'p1'), 1_000],
    ['bot old', world.proxy(bot, 'p2'), 3_000],
    ['bot oldest', world.proxy(bot, 'p3'), 4_000],
    ['other young', world.proxy(other, 'p1'), 0],
    ['other old', world.proxy(other, 'p2'), 2_000],
  ] as const;
  for (const [name, proxy, waitedMs] of asks) void world.ask(name, proxy, 20, { waitedMs });
  await world.pass();
  await world.release(holder, [id]);
  assert.deepEqual(world.results.slice(1), ['other old 20', 'bot oldest 20', 'other young 20', 'bot old 20', 'bot young 20']);
});

test('smaller requests pass one that does not fit until it has waited half of its time; then money is kept for it', async (t) => {
  const world = createWorld(t, 100);
  const holder = world.proxy(bot, 'p0');
  const { id: first } = await granted(world.ask('holder', holder, 50));
  const { id: second } = await granted(world.ask('holder', holder, 30));
  void world.ask('large', world.proxy(bot, 'p1'), 90);
  await world.pass(14_000);
  void world.ask('early', world.proxy(other, 'p2'), 10);
  await world.pass(1_000);
  void world.ask('late', world.proxy(other, 'p3'), 5);
  void world.ask('now', world.proxy(other, 'p4'), 5, { holdMs: 0, maxWaitMs: 0 });
  await world.pass(1_000);
  assert.deepEqual(world.results.slice(2), ['early 10', 'now budget_reserved']);
  await world.release(holder, [first]);
  assert.deepEqual(world.results.slice(4), []);
  await world.release(holder, [second]);
  assert.deepEqual(world.results.slice(4), ['large 90']);
  assert.equal(world.queue.claims().waiting('agents/team|Day|2026-11-21T00:00:00.000Z'), 1, 'the late one');
});

test('money is kept only in the account that is short', async (t) => {
  const world = createWorld(t, 1_000);
  world.caps.requestsPerMinute = 1;
  const [first, second] = [world.proxy(bot, 'p1'), world.proxy(other, 'p2')];
  await granted(world.ask('a', first, 10, { requests: 1 }));
  void world.ask('over its rate', first, 10, { requests: 1, waitedMs: 20_000 });
  await world.pass();
  void world.ask('b', second, 10, { requests: 1 });
  await world.pass(1);
  assert.deepEqual(world.results, ['a 10', 'over its rate rate_limited', 'b 10']);
});

test('a call takes less than it prefers once half of its time is over, or when no more can come', async (t) => {
  const world = createWorld(t, 100);
  const holder = world.proxy(bot, 'p0');
  const { id } = await granted(world.ask('holder', holder, 60));
  const patient = world.proxy(other, 'p1');
  const half = world.ask('patient', patient, 80, { atLeastNano: 30 });
  await world.pass(14_999);
  assert.deepEqual(world.results, ['holder 60']);
  await world.pass(1);
  assert.deepEqual(world.results, ['holder 60', 'patient 40']);
  await world.release(holder, [id]);
  void world.ask('hopeful', world.proxy(other, 'p2'), 80, { atLeastNano: 30 });
  await world.pass();
  assert.deepEqual(world.results.slice(2), []);
  world.settle(patient, (await granted(half)).id, 40);
  await world.pass();
  assert.deepEqual(world.results.slice(2), ['hopeful 60']);
});

test('while a request waits, its account gives nothing in advance', async (t) => {
  const world = createWorld(t, 10_000);
  const holder = world.proxy(bot, 'p0');
  await granted(world.ask('prefetched', holder, 10, { wantNano: 600 }));
  await granted(world.ask('holder', world.proxy(bot, 'p1'), 9_000));
  const leaver = new AbortController();
  void world.ask('large', world.proxy(other, 'p2'), 5_000, { signal: leaver.signal });
  void world.ask('small', world.proxy(other, 'p3'), 10, { wantNano: 600 });
  void world.ask('refill', world.proxy(other, 'p4'), 0, { wantNano: 600, holdMs: 0 });
  await world.pass(300);
  leaver.abort();
  await world.pass();
  void world.ask('small', world.proxy(other, 'p5'), 10, { wantNano: 20 });
  await world.pass();
  assert.deepEqual(world.results, [
    'prefetched 600',
    'holder 9000',
    'small 10',
    'refill budget_reserved',
    'large budget_reserved',
    'small 20',
  ]);
});

test('a withdrawn request frees its place at once', async (t) => {
  const world = createWorld(t, 100);
  const holder = world.proxy(bot, 'p0');
  await granted(world.ask('holder', holder, 60));
  const leaver = new AbortController();
  void world.ask('firm', world.proxy(other, 'p1'), 90, { waitedMs: 20_000, signal: leaver.signal });
  void world.ask('behind', world.proxy(other, 'p2'), 40);
  await world.pass(1);
  assert.deepEqual(world.results, ['holder 60']);
  leaver.abort();
  await world.pass();
  assert.deepEqual(world.results, ['holder 60', 'firm budget_reserved', 'behind 40']);
});

test('a younger call of a request is granted in its place, if it lacks less', async (t) => {
  const world = createWorld(t, 100);
  await granted(world.ask('holder', world.proxy(bot, 'p0'), 60));
  const smaller = {
    atLeastNano: 40,
    preferredNano: 40,
    boundNano: 40,
    atLeastRequests: 0,
    tokens: 0,
    waitedMs: 0,
    maxWaitMs: 30_000,
  } as const;
  void world.ask('either', world.proxy(other, 'p1'), 90, { others: [smaller] });
  void world.ask('firm', world.proxy(bot, 'p2'), 90, { waitedMs: 20_000, others: [smaller] });
  await world.pass(1);
  assert.deepEqual(world.results, ['holder 60', 'either 40']);
});

test('a raised cap and a new window wake what waits; a deleted key ends it', async (t) => {
  const world = createWorld(t, 100);
  await granted(world.ask('holder', world.proxy(bot, 'p0'), 100));
  void world.ask('raised', world.proxy(other, 'p1'), 50);
  await world.pass(1);
  world.caps.usdNano = 150;
  world.queue.released();
  await world.pass();
  void world.ask('deleted', world.proxy(other, 'p2'), 50);
  await world.pass(1);
  world.documents.delete(other);
  world.queue.released();
  await world.pass();
  world.clock.nowMs = start + dayMs / 2 - 5_000;
  const reply = world.ask('tomorrow', world.proxy(bot, 'p3'), 50);
  await world.pass(4_999);
  assert.deepEqual(world.results, ['holder 100', 'raised 50', 'deleted key_revoked']);
  await world.pass(1);
  const { amountNano, validForMs } = await granted(reply);
  assert.deepEqual([amountNano, validForMs], [50, dayMs + 5_000], 'its end counts from when the request was sent');
});

test('no proxy makes the ledger hold more than a few requests of a stream, or any for longer than two minutes', async (t) => {
  const world = createWorld(t, 100);
  await granted(world.ask('holder', world.proxy(bot, 'p0'), 100));
  const greedy = world.proxy(other, 'p1');
  for (let count = 0; count < 4; count += 1) void world.ask('greedy', greedy, 60, { holdMs: 1e9, maxWaitMs: 1e9 });
  await assert.rejects(world.ask('fifth', greedy, 60), RangeError);
  await world.pass(119_999);
  assert.deepEqual(world.results, ['holder 100']);
  await world.pass(1);
  assert.equal(world.results.filter((result) => result === 'greedy budget_reserved').length, 4);
});
