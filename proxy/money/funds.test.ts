import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import type { ProxyBody } from '../../core/audit/types.ts';
import type { Need, Reservation } from '../../core/budget/types.ts';
import { isRefusal, refuse } from '../../core/errors.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import type { Grant, GrantDenial, GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Recorder } from '../evidence/recorder.ts';
import type { Shipper } from '../evidence/shipper.ts';
import { bot, silent, stream } from '../evidence/spool/spool.fixture.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import { createFunds, type Funds } from './funds.ts';
import type { ReserveOutcome } from './waiting-calls.ts';

/** The recorder's edge: bodies in memory. */
interface Stream extends Recorder {
  readonly bodies: ProxyBody[];
  /** `away`: what `ready` rejects with. */
  readonly fault: { away: Error | null; full: boolean };
}

function createStream(): Stream {
  const bodies: ProxyBody[] = [];
  const fault: Stream['fault'] = { away: null, full: false };
  const time = '2026-11-20T10:00:00.000Z';

  function append(body: ProxyBody): { readonly seq: number } {
    if (fault.full) throw new SpoolUnavailable('full');
    return { seq: bodies.push(body) - 1 };
  }

  return {
    stream,
    bodies,
    fault,
    get epoch() {
      return bodies.length === 0 ? 0 : 1;
    },
    head: () => bodies.length - 1,
    async ready() {
      if (fault.away !== null) throw fault.away;
      if (bodies.length === 0) append({ bootId: 'b', instance: 'i-1', key: bot, nonce: '00', time, type: 'epoch_open', v: 1 });
    },
    openCall: () => {},
    noteOutcome: () => {},
    append,
    countRefusal: () => false,
    release: (grants) => void append({ grants, key: bot, time, type: 'release', v: 1 }),
    heartbeat: () => void append({ key: bot, time, type: 'heartbeat', v: 1 }),
    halt: () => {},
    close: () => void append({ key: bot, time, type: 'epoch_close', v: 1 }),
  };
}

interface World {
  readonly funds: Funds;
  readonly stream: Stream;
  readonly requests: GrantRequest[];
  readonly clock: { ms: number };
  readonly results: string[];
  /** Head up to which entries were shipped. */
  shipped: number;
}

interface Plan {
  readonly free?: Promise<void>;
  readonly ship?: () => Promise<void>;
}

/** Funds in front of a ledger that answers the nth request (from 0) as `ledger` says. */
function createWorld(
  ledger: (request: GrantRequest, n: number, signal?: AbortSignal) => GrantReply | Promise<GrantReply>,
  plan: Plan = {},
): World {
  const requests: GrantRequest[] = [];
  const results: string[] = [];
  const clock = { ms: 1_000_000 };
  const recorder = createStream();
  const shipper: Shipper = {
    start: () => {},
    async flush(_stream, _epoch, head) {
      await plan.ship?.();
      world.shipped = head;
    },
    behind: () => ({ entries: 0 }),
    close: () => Promise.resolve(),
  };
  let ids = 0;
  const funds = createFunds({
    key: bot,
    recorder,
    shipper,
    control: {
      async grant(request, signal) {
        assert.equal(world.shipped, request.head, 'a request follows the entries up to its head');
        return ledger(request, requests.push(request) - 1, signal);
      },
    },
    metrics: { countGrant: (result) => void results.push(result), observeWait: () => {} },
    logger: silent,
    monotonic: () => clock.ms,
    newId: () => `ask-${++ids}`,
    grantWaitMs: 2000,
    free: plan.free ?? Promise.resolve(),
  });
  const world: World = { funds, stream: recorder, requests, clock, results, shipped: -1 };
  return world;
}

let grants = 0;

function grant(amountNano: number, more: Partial<Grant> = {}): GrantReply {
  return { grant: { id: `g-${++grants}`, key: bot, amountNano, validAfterMs: 0, ...more } };
}

function denial(code: GrantDenial['code'] = 'budget_exhausted'): { readonly denial: GrantDenial } {
  return { denial: { code, limitedBy: `${bot} Day`, message: 'Nothing is left.', availableNano: 0 } };
}

function need(boundNano: number, more: Partial<Need> = {}): Need {
  return { boundNano, atLeastNano: boundNano, preferredNano: more.atLeastNano ?? boundNano, requests: 0, tokens: 0, ...more };
}

/** `held 5`, or the code of a denial or refusal. */
function summary(outcome: ReserveOutcome): string {
  return 'amountNano' in outcome ? `held ${outcome.amountNano}` : outcome.code;
}

async function reserve(world: World, wanted: Need): Promise<Reservation> {
  const verdict = await world.funds.reserve(wanted);
  if (!('amountNano' in verdict)) assert.fail(`refused: ${verdict.code}`);
  return verdict;
}

function types(world: World): string[] {
  return world.stream.bodies.map(({ type }) => type);
}

/** A clock for timeouts that moves when a test says so. */
function fakeTimers(t: TestContext): (ms: number) => Promise<void> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return async (ms) => {
    await settled();
    t.mock.timers.tick(ms);
    await settled();
  };
}

test('the first call opens the stream with one request; what was granted beyond it then covers calls without a hop', async () => {
  const world = createWorld(() => grant(1000));
  const first = world.funds.reserve(need(100));
  assert.ok(first instanceof Promise);
  assert.equal(summary(await first), 'held 100');
  const second = world.funds.reserve(need(900));
  assert.ok(!(second instanceof Promise));
  assert.equal(summary(second), 'held 900');
  assert.deepEqual([types(world), world.requests.length, world.results], [['epoch_open'], 1, ['granted']]);
});

test('of 200 calls at once one gets the only grant, and the next request’s denial answers all others', async () => {
  const world = createWorld((request, n) => (n === 0 ? grant(request.boundNano) : denial()));
  const verdicts = await Promise.all(Array.from({ length: 200 }, () => world.funds.reserve(need(100))));
  const counts = Map.groupBy(verdicts.map(summary), (verdict) => verdict);
  assert.deepEqual([counts.get('held 100')?.length, counts.get('budget_exhausted')?.length], [1, 199]);
  assert.deepEqual([world.requests.length, world.results], [2, ['exact', 'budget_exhausted']]);
});

test('calls that wait share one grant that suffices for all', async () => {
  const world = createWorld(() => grant(5000));
  const verdicts = await Promise.all(Array.from({ length: 50 }, () => world.funds.reserve(need(100))));
  assert.ok(verdicts.every((verdict) => summary(verdict) === 'held 100'));
  assert.equal(world.requests.length, 1);
});

test('a denial is not for those who wait for less: they get their own request', async () => {
  const world = createWorld((request) => (request.atLeastNano > 50 ? denial('request_too_expensive') : grant(request.boundNano)));
  const verdicts = await Promise.all([500, 40, 600, 30].map((nano) => world.funds.reserve(need(nano))));
  assert.deepEqual(verdicts.map(summary), ['request_too_expensive', 'held 40', 'request_too_expensive', 'held 30']);
});

test('a call that the wallet could cover at once does not overtake those that wait', async () => {
  const late = Promise.withResolvers<GrantReply>();
  const world = createWorld((_, n) => (n === 0 ? grant(50) : late.promise));
  world.funds.cancel(await reserve(world, need(50)));
  const large = world.funds.reserve(need(100));
  const small = world.funds.reserve(need(10));
  assert.ok(small instanceof Promise);
  late.resolve(grant(60));
  assert.deepEqual([summary(await large), summary(await small)], ['held 100', 'held 10']);
});

test('where the ledger has less than the whole bound, a call that can do with less takes what there is', async () => {
  const world = createWorld(() => grant(60));
  assert.equal(summary(await world.funds.reserve(need(100, { atLeastNano: 50 }))), 'held 60');
});

test('after a second grant that is not enough, other calls hold the budget', async () => {
  const world = createWorld(() => grant(0));
  const verdict = await world.funds.reserve(need(100));
  assert.deepEqual([summary(verdict), world.requests.length], ['budget_reserved', 2]);
  assert.equal(isRefusal(verdict) && verdict.retryAfterSeconds, 1);
});

test('a call waits no longer than its time; the late grant is still deposited, for the next one', async (t) => {
  const pass = fakeTimers(t);
  const late = Promise.withResolvers<GrantReply>();
  const world = createWorld(() => late.promise);
  const waiting = world.funds.reserve(need(100));
  await pass(1999);
  const joined = world.funds.reserve(need(100));
  await pass(1);
  assert.equal(summary(await waiting), 'grant_unavailable');
  late.resolve(grant(500));
  assert.equal(summary(await joined), 'held 100');
  await settled();
  assert.equal(summary(await world.funds.reserve(need(400))), 'held 400');
  assert.equal(world.requests.length, 1);
});

test('a request without an answer is sent again unchanged, so that its grant is not lost', async () => {
  const world = createWorld((_, n) => {
    if (n === 0) throw new ControlUnavailable('gone');
    return grant(300);
  });
  assert.equal(summary(await world.funds.reserve(need(100))), 'grant_unavailable');
  assert.equal(summary(await world.funds.reserve(need(200))), 'held 200');
  const [first, second] = world.requests;
  assert.deepEqual([first?.askId, second?.askId, second?.boundNano], ['ask-1', 'ask-1', 100]);
  assert.equal(summary(await world.funds.reserve(need(200, { atLeastNano: 100 }))), 'held 200');
  assert.equal(world.requests[2]?.askId, 'ask-2');
});

test('a request without an answer is sent again even if no calls follow, so that a recall can release its grant', async () => {
  const world = createWorld((_, n) => {
    if (n === 0) throw new ControlUnavailable('gone');
    return grant(300);
  });
  assert.equal(summary(await world.funds.reserve(need(100))), 'grant_unavailable');
  await settled();
  world.clock.ms += 3_600_000;
  world.funds.tick();
  await settled();
  assert.deepEqual(
    world.requests.map(({ askId }) => askId),
    ['ask-1', 'ask-1'],
  );
  world.funds.recall();
  assert.equal(world.stream.bodies.at(-1)?.type, 'release');
});

test('a denial of an older, larger request does not refuse a call that wants less', async () => {
  const world = createWorld((request, n) => {
    if (n === 0) throw new ControlUnavailable('gone');
    return request.atLeastNano > 50 ? denial('request_too_expensive') : grant(request.boundNano);
  });
  assert.equal(summary(await world.funds.reserve(need(5000))), 'grant_unavailable');
  assert.equal(summary(await world.funds.reserve(need(40))), 'held 40');
});

test('nothing is requested before the entries so far are shipped; where they cannot be, there is no grant', async () => {
  let away = true;
  const world = createWorld(() => grant(100), {
    ship: () => (away ? Promise.reject(new ControlUnavailable('gone')) : Promise.resolve()),
  });
  const verdict = await world.funds.reserve(need(100));
  assert.equal(summary(verdict), 'grant_unavailable');
  assert.equal(isRefusal(verdict) && verdict.retryAfterSeconds, 2);
  assert.equal(world.requests.length, 0);
  away = false;
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
});

test('if the stream cannot be opened, calls are refused with the reason; the next call tries again', async () => {
  const world = createWorld(() => grant(100));
  world.stream.fault.away = new SpoolUnavailable('full');
  assert.equal((await world.funds.ready())?.code, 'audit_unavailable');
  assert.equal(summary(await world.funds.reserve(need(100))), 'audit_unavailable');
  world.stream.fault.away = new ControlUnavailable('gone');
  assert.equal(summary(await world.funds.reserve(need(100))), 'grant_unavailable');
  world.stream.fault.away = null;
  assert.equal(await world.funds.ready(), null);
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
});

test('the stream is opened only after its previous holder has closed it', async () => {
  const { promise: free, resolve } = Promise.withResolvers<void>();
  const world = createWorld(() => grant(100), { free });
  const waiting = world.funds.reserve(need(100));
  await settled();
  assert.deepEqual(types(world), []);
  resolve();
  assert.equal(summary(await waiting), 'held 100');
});

test('less than half is refilled in the background, by one request at a time', async () => {
  const late = Promise.withResolvers<GrantReply>();
  const world = createWorld((_, n) => (n === 0 ? grant(1000) : late.promise));
  const held = await Promise.all([300, 300, 300].map((nano) => reserve(world, need(nano))));
  assert.equal(world.requests.length, 1);
  for (const reservation of held) {
    world.clock.ms += 2000;
    world.funds.settle(reservation, 300, 0);
    world.funds.tick();
    await settled();
  }
  assert.equal(world.requests.length, 2);
  assert.deepEqual([world.requests[1]?.atLeastNano, world.requests[1]?.boundNano], [0, 0]);
  const waiting = world.funds.reserve(need(200));
  late.resolve(grant(1000));
  assert.equal(summary(await waiting), 'held 200');
  assert.equal(world.requests.length, 2);
});

test('a refill that fails is nobody’s refusal', async () => {
  const world = createWorld((_, n) => {
    if (n === 1) throw new ControlUnavailable('gone');
    return grant(1000);
  });
  const held = await reserve(world, need(900));
  await settled();
  world.clock.ms += 2000;
  world.funds.settle(held, 900, 0);
  await settled();
  assert.equal(world.requests.length, 2);
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
});

test('a recall releases by an entry what is idle, and keeps what calls hold', async () => {
  const world = createWorld((request) => grant(request.boundNano, { id: `grant-${request.askId}` }));
  const held = await reserve(world, need(100));
  world.funds.recall();
  assert.deepEqual(types(world), ['epoch_open']);
  world.funds.cancel(held);
  world.funds.recall();
  assert.deepEqual(world.stream.bodies.at(-1), {
    ...{ grants: ['grant-ask-1'], key: bot, time: '2026-11-20T10:00:00.000Z', type: 'release', v: 1 },
  });
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
  assert.equal(world.requests.length, 2);
});

test('what could not be released by an entry is still held', async () => {
  const world = createWorld((_, n) => (n === 0 ? grant(100) : denial()));
  world.funds.cancel(await reserve(world, need(100)));
  world.stream.fault.full = true;
  world.funds.recall();
  world.stream.fault.full = false;
  assert.deepEqual(types(world), ['epoch_open']);
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
});

test('the next tick releases grants that have ended, and writes a heartbeat', async () => {
  const world = createWorld((_, n) => (n === 0 ? grant(100, { validForMs: 60_000 }) : denial()));
  world.funds.tick();
  assert.deepEqual(types(world), []);
  world.funds.cancel(await reserve(world, need(100)));
  world.funds.tick();
  assert.deepEqual(types(world), ['epoch_open', 'heartbeat']);
  world.clock.ms += 60_000;
  world.funds.tick();
  assert.deepEqual(types(world).slice(2), ['release', 'heartbeat']);
  assert.equal(summary(await world.funds.reserve(need(100))), 'budget_exhausted');
});

test('a grant’s end counts from when it was requested, not from when it came', async () => {
  const world = createWorld((_, n) => {
    world.clock.ms += 1500;
    return n === 0 ? grant(100, { validForMs: 1000 }) : denial();
  });
  assert.equal(summary(await world.funds.reserve(need(100))), 'budget_exhausted');
});

test('what remains is what the ledger has left and what the wallet has free; unknown before the first grant', async () => {
  const world = createWorld(() => grant(1000, { remainderNano: 5000 }));
  assert.equal(world.funds.remainingNano(), undefined);
  const held = await reserve(world, need(400));
  assert.equal(world.funds.remainingNano(), 5600);
  world.funds.settle(held, 100, 0);
  assert.equal(world.funds.remainingNano(), 5900);
});

test('the end of funds ends the epoch by an entry, after the request that is under way', async () => {
  const late = Promise.withResolvers<GrantReply>();
  const world = createWorld(() => late.promise);
  const waiting = world.funds.reserve(need(100));
  await settled();
  const closed = world.funds.close();
  await settled();
  assert.deepEqual(types(world), ['epoch_open']);
  late.resolve(grant(100));
  assert.equal(summary(await waiting), 'held 100');
  await closed;
  assert.deepEqual(types(world), ['epoch_open', 'epoch_close']);
});

test('the end of funds that were never used, or whose spool is full, is quiet', async () => {
  const unused = createWorld(() => grant(100));
  await unused.funds.close();
  assert.deepEqual(types(unused), []);
  const full = createWorld(() => grant(100));
  await full.funds.ready();
  full.stream.fault.full = true;
  await full.funds.close();
  assert.deepEqual(types(full), ['epoch_open']);
});

test('if the ledger grants no more, calls that can work with less share what is here', async () => {
  const world = createWorld((_, n) => (n === 0 ? grant(100) : denial('budget_reserved')));
  const first = await world.funds.reserve(need(100));
  assert.ok('parts' in first);
  world.funds.cancel(first);
  const verdicts = await Promise.all([1, 2, 3, 4].map(() => world.funds.reserve(need(120, { atLeastNano: 10 }))));
  assert.deepEqual(verdicts.map(summary), ['held 25', 'held 18', 'held 14', 'held 10']);
});

test('a call that the ledger kept waiting while others held the rest gets that reason, not that nobody answered', async (t) => {
  const pass = fakeTimers(t);
  const world = createWorld((_, n) => (n === 0 ? denial('budget_reserved') : Promise.withResolvers<GrantReply>().promise));
  const large = world.funds.reserve(need(100));
  const small = world.funds.reserve(need(50));
  await pass(2000);
  assert.deepEqual([summary(await large), summary(await small)], ['budget_reserved', 'budget_reserved']);
});

/** A ledger whose money others hold: it says so at once, and holds a request that may wait, until it is withdrawn or answered. */
function createShortLedger(first: GrantReply | null = null) {
  const held: { readonly request: GrantRequest; readonly answer: (reply: GrantReply) => void }[] = [];
  return {
    /** The requests that wait now. */
    held,
    answer(request: GrantRequest, n: number, signal?: AbortSignal): GrantReply | Promise<GrantReply> {
      if (n === 0 && first !== null) return first;
      if (request.wait === undefined || request.wait.holdMs === 0) return denial('budget_reserved');
      const { promise, resolve } = Promise.withResolvers<GrantReply>();
      const entry = { request, answer: (reply: GrantReply) => leave(reply) };
      const leave = (reply: GrantReply): void => {
        held.splice(held.indexOf(entry), 1);
        resolve(reply);
      };
      held.push(entry);
      signal?.addEventListener('abort', () => leave(denial('budget_reserved')), { once: true });
      return promise;
    },
  };
}

async function rest(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await settled();
}

/** Moves both clocks. */
async function passBoth(world: World, pass: (ms: number) => Promise<void>, ms: number): Promise<void> {
  world.clock.ms += ms;
  await pass(ms);
  await rest();
}

test('a call that others make wait asks once, then waits at the ledger with its age, and takes the grant', async () => {
  const ledger = createShortLedger();
  const world = createWorld(ledger.answer);
  const waiting = world.funds.reserve(need(100), { sinceMs: world.clock.ms - 500 });
  await rest();
  assert.deepEqual(
    world.requests.map(({ wait }) => wait),
    [
      { waitedMs: 500, maxWaitMs: 2000, holdMs: 0, others: [] },
      { waitedMs: 500, maxWaitMs: 2000, holdMs: 1500, others: [] },
    ],
  );
  assert.equal(world.funds.waiting(), 1);
  ledger.held[0]?.answer(grant(100));
  assert.equal(summary(await waiting), 'held 100');
  assert.equal(world.funds.waiting(), 0);
});

test('a call without time gets the wallet and one exchange; where an older call waits for the same, not even that', async () => {
  const ledger = createShortLedger();
  const world = createWorld(ledger.answer);
  assert.equal(summary(await world.funds.reserve(need(100), { maxWaitMs: 0 })), 'budget_reserved');
  assert.equal(world.requests.length, 1);
  void world.funds.reserve(need(100));
  await rest();
  assert.equal(world.requests.length, 3);
  assert.equal(summary(await world.funds.reserve(need(100), { maxWaitMs: 0 })), 'budget_reserved');
  assert.equal(world.requests.length, 3);
});

test('a call that lacks no less than one that waits needs no exchange, if so much may come back', async () => {
  const ledger = createShortLedger();
  const world = createWorld((request, n, signal) => {
    const reply = ledger.answer(request, n, signal);
    return 'denial' in reply ? { denial: { ...reply.denial, potentialNano: 200 } } : reply;
  });
  void world.funds.reserve(need(100));
  await rest();
  assert.equal(world.requests.length, 2);
  void world.funds.reserve(need(150));
  assert.equal(summary(await world.funds.reserve(need(200), { maxWaitMs: 0 })), 'budget_reserved');
  await rest();
  assert.equal(world.requests.length, 2);
  void world.funds.reserve(need(201));
  await rest();
  assert.deepEqual(
    world.requests.slice(2).map(({ atLeastNano, wait }) => [atLeastNano, wait?.holdMs === 0]),
    [
      [201, true],
      [100, false],
    ],
  );
});

test('smaller calls pass one that waits, until it has waited half of its time', async (t) => {
  const pass = fakeTimers(t);
  const ledger = createShortLedger(grant(100));
  const world = createWorld(ledger.answer);
  world.funds.cancel(await reserve(world, need(100)));
  void world.funds.reserve(need(500));
  await rest();
  const small = world.funds.reserve(need(40));
  assert.equal(small instanceof Promise ? 'waits' : summary(small), 'held 40');
  await rest();
  assert.deepEqual(
    ledger.held.map(({ request }) => [request.heldNano, request.atLeastNano]),
    [[60, 440]],
    'the ledger knows what the large one lacks now',
  );
  await passBoth(world, pass, 1001);
  const late = world.funds.reserve(need(10));
  assert.ok(late instanceof Promise);
  await rest();
  assert.deepEqual([ledger.held.length, ledger.held[0]?.request.wait?.others], [1, []]);
  ledger.held[0]?.answer(grant(500));
  assert.equal(summary(await late), 'held 10');
});

test('a smaller call waits at the ledger beside the older one, and a grant for it is its', async () => {
  const ledger = createShortLedger();
  const world = createWorld(ledger.answer);
  const large = world.funds.reserve(need(500));
  await rest();
  const small = world.funds.reserve(need(40));
  await rest();
  const [entry] = ledger.held;
  assert.deepEqual(
    [entry?.request.atLeastNano, entry?.request.wait?.others.map(({ atLeastNano }) => atLeastNano), ledger.held.length],
    [500, [40], 1],
  );
  entry?.answer(grant(40));
  assert.equal(summary(await small), 'held 40');
  await rest();
  ledger.held[0]?.answer(grant(500));
  assert.equal(summary(await large), 'held 500');
});

test('a call whose caller leaves frees its place at once, here and at the ledger', async () => {
  const ledger = createShortLedger();
  const world = createWorld(ledger.answer);
  const leaver = new AbortController();
  const left = world.funds.reserve(need(100), { signal: () => leaver.signal });
  await rest();
  leaver.abort();
  assert.equal(summary(await left), 'budget_reserved');
  await rest();
  assert.deepEqual([world.funds.waiting(), ledger.held.length], [0, 0]);
  const gone = world.funds.reserve(need(100), { signal: () => leaver.signal });
  assert.equal(summary(await gone), 'budget_reserved');
  assert.equal(world.funds.waiting(), 0);
});

test('what a call in flight gives back serves the call that waits, which then wants nothing from the ledger', async () => {
  const ledger = createShortLedger(grant(100));
  const world = createWorld(ledger.answer);
  const running = await reserve(world, need(100));
  const waiting = world.funds.reserve(need(70));
  await rest();
  assert.equal(ledger.held.length, 1);
  world.funds.settle(running, 30, 0);
  assert.equal(summary(await waiting), 'held 70');
  await rest();
  assert.equal(ledger.held.length, 0);
});

test('a recall releases what waits unused, and the ledger learns that the waiting call lacks it again', async () => {
  const ledger = createShortLedger(grant(100));
  const world = createWorld(ledger.answer);
  world.funds.cancel(await reserve(world, need(100)));
  void world.funds.reserve(need(500));
  await rest();
  assert.equal(ledger.held[0]?.request.atLeastNano, 400);
  world.funds.recall();
  await rest();
  assert.deepEqual(
    ledger.held.map(({ request }) => [request.heldNano, request.atLeastNano, request.head]),
    [[0, 500, 1]],
  );
});

test('half of its time a call waits for what it prefers, then it takes what is here', async (t) => {
  const pass = fakeTimers(t);
  const ledger = createShortLedger(grant(100));
  const world = createWorld(ledger.answer);
  world.funds.cancel(await reserve(world, need(100)));
  const waiting = world.funds.reserve(need(500, { atLeastNano: 50, preferredNano: 200 }));
  await passBoth(world, pass, 990);
  assert.equal(world.funds.waiting(), 1);
  await passBoth(world, pass, 11);
  assert.equal(summary(await waiting), 'held 100');
});

test('a call takes less than it prefers at once if the ledger says that no more can come', async () => {
  const world = createWorld((_, n) => (n === 0 ? grant(60) : denial()));
  assert.equal(summary(await world.funds.reserve(need(500, { atLeastNano: 50, preferredNano: 200 }))), 'held 60');
  assert.equal(world.requests.length, 1);
});

test('after a wait everything is checked anew: a refusal gives the money back', async () => {
  const ledger = createShortLedger();
  const world = createWorld(ledger.answer);
  const revoked = refuse('key_revoked', 'The key was suspended.');
  const waiting = world.funds.reserve(need(100), { recheck: () => revoked });
  await rest();
  ledger.held[0]?.answer(grant(100));
  assert.equal(await waiting, revoked);
  assert.equal(summary(await world.funds.reserve(need(100))), 'held 100');
});

test('a waiting call takes nothing from a grant whose window has ended', async (t) => {
  const pass = fakeTimers(t);
  const ledger = createShortLedger(grant(100, { validForMs: 500 }));
  const world = createWorld(ledger.answer);
  world.funds.cancel(await reserve(world, need(100)));
  const waiting = world.funds.reserve(need(500, { atLeastNano: 50, preferredNano: 200 }));
  await passBoth(world, pass, 1001);
  assert.equal(world.funds.waiting(), 1);
  await passBoth(world, pass, 999);
  assert.equal(summary(await waiting), 'budget_reserved');
});

test('a call that waits when the operator is lost is refused as unavailable', async () => {
  const lost = Promise.withResolvers<GrantReply>();
  const world = createWorld((request) => (request.wait?.holdMs === 0 ? denial('budget_reserved') : lost.promise));
  const waiting = world.funds.reserve(need(100));
  await rest();
  lost.reject(new ControlUnavailable('gone'));
  assert.equal(summary(await waiting), 'grant_unavailable');
});

test('a whole recall gives each grant back when its last call has ended and is recorded; further calls ask the ledger', async () => {
  const world = createWorld((_, n) => (n === 0 ? grant(100, { id: 'g-whole' }) : denial('budget_reserved')));
  const running = await reserve(world, need(40));
  world.funds.recall(true);
  assert.equal(summary(await world.funds.reserve(need(30), { maxWaitMs: 0 })), 'budget_reserved');
  world.funds.settle(running, 10, 0);
  assert.deepEqual(types(world), ['epoch_open'], 'not before the entry of the call');
  world.funds.record({ type: 'call', key: bot } as ProxyBody);
  assert.deepEqual(types(world), ['epoch_open', 'call', 'release']);
  assert.deepEqual((world.stream.bodies.at(-1) as { readonly grants?: unknown }).grants, ['g-whole']);
});

test('a whole recall also gives a grant back when its last call was refused before it was sent, and is counted', async () => {
  const world = createWorld(() => grant(100, { id: 'g-whole' }));
  const held = await reserve(world, need(40));
  world.funds.recall(true);
  world.funds.cancel(held);
  const refused = { code: 'overloaded', endpoint: '/v1/chat/completions' } as const;
  assert.equal(world.funds.countRefusal('r-1', refused), false);
  assert.deepEqual(types(world), ['epoch_open'], 'not before the entry of the call');
  Object.assign(world.stream, { countRefusal: () => true });
  assert.equal(world.funds.countRefusal('r-1', refused), true);
  assert.deepEqual(types(world), ['epoch_open', 'release']);
});

test('that nothing is left is known for some seconds, until a grant, and only of denials that no smaller call would pass', async () => {
  const replies: GrantReply[] = [];
  const world = createWorld(() => replies.shift() ?? denial('budget_exhausted'));
  const codeAfter = async (reply: GrantReply): Promise<string | undefined> => {
    replies.push(reply);
    await world.funds.reserve(need(100), { maxWaitMs: 0 });
    return world.funds.nothingLeft()?.code;
  };
  assert.equal(world.funds.nothingLeft(), null);
  const none = { ...denial('budget_exhausted').denial, availableNano: 0 };
  assert.equal(await codeAfter({ denial: { ...none, availableNano: 7 } }), undefined);
  assert.equal(await codeAfter({ denial: { ...none, potentialNano: 7 } }), undefined);
  assert.equal(await codeAfter({ denial: none }), 'budget_exhausted');
  world.clock.ms += 5_000;
  assert.equal(world.funds.nothingLeft(), null);
  assert.equal(await codeAfter({ denial: { ...none, code: 'rate_limited', retryAfterSeconds: 1 } }), 'rate_limited');
  world.clock.ms += 1_000;
  assert.equal(world.funds.nothingLeft(), null);
});
