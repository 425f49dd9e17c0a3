import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Denial } from '../../core/budget/denial.ts';
import type { Need } from '../../core/budget/types.ts';
import { type KeyName, keyName, type StreamId } from '../../core/names.ts';
import type { AccountNode, AccountPlan } from '../../core/policy/documents.ts';
import type { Grant } from '../../core/protocol/money.ts';
import { body, callBody, type FakeProxy, fakeWorld, type World } from './fake-world.ts';
import { abandon, type GrantAnswer, grant } from './ledger.ts';
import { overdrawn, recallTargets, spent, view } from './view.ts';

const bot = keyName('agents', 'bot');
const other = keyName('agents', 'other');
const start = Date.UTC(2026, 10, 21, 12);

function planFor(key: KeyName, usdNano: number, more: Partial<AccountNode> = {}): AccountPlan {
  return { key, path: [key], nodes: [{ key, limits: [{ window: 'Day', usdNano, timeZone: 'Etc/UTC' }], rate: {}, ...more }] };
}

const plan = planFor(bot, 100);

function money(boundNano: number, more: object = {}) {
  const figures = { atLeastNano: boundNano, boundNano, wantNano: boundNano, atLeastRequests: 0, wantRequests: 0, tokens: 0 } as const;
  return { ...figures, ...more };
}

function need(boundNano: number): Need {
  return { atLeastNano: boundNano, boundNano, requests: 1, tokens: 0 };
}

function granted(reply: GrantAnswer): Grant {
  assert.ok('grant' in reply, JSON.stringify(reply));
  return reply.grant;
}

function denied(reply: GrantAnswer): Denial {
  assert.ok('denial' in reply, JSON.stringify(reply));
  return reply.denial;
}

function spend(proxy: FakeProxy, costNano: number, from = plan): void {
  const reservation = proxy.reserve(need(costNano), from);
  assert.ok(reservation);
  proxy.write(callBody(proxy.key, proxy.wallet.settle(reservation, costNano, 0)));
}

function accountOf(world: World, of = plan) {
  return world.store.transaction((tx) => view(tx, of)).accounts.find(({ window }) => window === 'Day');
}

function kinds(world: World): readonly string[] {
  return world.notes.map(({ kind, severity }) => `${severity} ${kind}`);
}

test('money is granted only to a stream that is stored up to the head it names', () => {
  const proxy = fakeWorld(start).proxy(bot, 'p1');
  proxy.write(body('epoch_open'));
  assert.deepEqual(
    [denied(proxy.request(money(1), plan)).code, denied(proxy.request(money(1), plan)).retryAfterSeconds],
    ['grant_unavailable', 1],
  );
  proxy.ship();
  granted(proxy.request(money(1), plan));
});

test('an epoch that is unknown, another key’s, not open or not the newest gets no money', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const request = { ...money(1), stream: proxy.stream, epoch: 1, head: -1, askId: 'a' };
  const code = (more: object, from = plan): string =>
    denied(world.store.transaction((tx) => grant(tx, { ...request, ...more }, from))).message.replace(/^.*?: /, '');
  assert.match(code({ epoch: 7 }), /not open/);
  assert.match(code({}, planFor(other, 100)), /not open/);
  proxy.write(body('epoch_close'));
  proxy.ship();
  assert.match(code({}), /closed/);
  proxy.openEpoch();
  proxy.openEpoch();
  assert.match(code({ epoch: 2 }), /superseded/);
});

test('a proxy that restarts to drop its record gets nothing until the earlier epoch is settled', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  granted(proxy.request(money(50), plan));
  proxy.openEpoch();
  assert.match(denied(proxy.request(money(1), plan)).message, /epoch 1 still holds grants/);
  proxy.write(body('epoch_recovered', { recoveredEpoch: 1, lastSeq: -1, whole: false, charges: [] }));
  proxy.ship();
  granted(proxy.request(money(1), plan));
  assert.equal(accountOf(world)?.burnedNanoUsd, '50');
});

test('the same request again gets the same grant, and none once that has ended', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const request = { ...money(40), stream: proxy.stream, epoch: 1, head: -1, askId: 'a' };
  const send = (more = {}): GrantAnswer => world.store.transaction((tx) => grant(tx, { ...request, ...more }, plan));
  const first = granted(send());
  world.clock.nowMs += 1000;
  const second = granted(send());
  assert.equal(second.id, first.id);
  assert.equal(second.validForMs, (first.validForMs ?? 0) - 1000);
  assert.equal(accountOf(world)?.outstandingNanoUsd, '40');
  proxy.write(body('release', { grants: [first.id] }));
  proxy.ship();
  assert.equal(denied(send({ head: 0 })).code, 'grant_unavailable');
});

test('a grant id carries the store’s incarnation', () => {
  const world = fakeWorld(start);
  const { id } = granted(world.proxy(bot, 'p1').request(money(1), plan));
  assert.ok(id.startsWith(`${world.store.transaction((tx) => tx.incarnation)}.`));
});

test('figures that are no whole numbers are an error, not a grant', () => {
  const proxy = fakeWorld(start).proxy(bot, 'p1');
  for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => proxy.request(money(1, { wantNano: bad }), plan), RangeError);
    assert.throws(() => proxy.request(money(bad), plan), RangeError);
  }
});

test('200 parallel calls through 20 proxies on a budget for one admit exactly one', () => {
  const world = fakeWorld(start);
  const proxies = Array.from({ length: 20 }, (_, index) => world.proxy(bot, `p${index}`));
  const admitted = Array.from({ length: 200 }, (_, index) => proxies[index % 20]?.reserve(need(60), plan)).filter(Boolean);
  assert.equal(admitted.length, 1);
});

test('reported spend is the sum of the stored entries, at every moment', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  for (const cost of [10, 20, 30]) {
    spend(proxy, cost);
    const before = world.store.transaction((tx) => spent(tx, bot));
    proxy.ship();
    assert.equal(
      world.store.transaction((tx) => spent(tx, bot)),
      before + cost,
    );
  }
  assert.deepEqual(accountOf(world), {
    key: bot,
    window: 'Day',
    windowStart: '2026-11-21T00:00:00.000Z',
    windowEnd: '2026-11-22T00:00:00.000Z',
    capNanoUsd: '100',
    spentNanoUsd: '60',
    outstandingNanoUsd: '0',
    burnedNanoUsd: '0',
    requestsUsed: 3,
  });
});

test('accounts survive their key: a new stream of a re-created key finds what was spent', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  spend(proxy, 80);
  proxy.write(body('epoch_close'));
  proxy.ship();
  world.store.transaction((tx) => tx.keys.forget(bot));
  assert.equal(denied(world.proxy(bot, 'p2').request(money(21), plan)).code, 'budget_exhausted');
});

test('an entry that names a grant of nobody, of another stream or of another epoch settles nothing', () => {
  const world = fakeWorld(start);
  const [mine, theirs] = [world.proxy(bot, 'p1'), world.proxy(bot, 'p2')];
  const { id } = granted(theirs.request(money(50), plan));
  const pay = (grantId: string, costNanoUsd = '10'): void => {
    mine.write(callBody(bot, [{ grant: grantId, costNanoUsd }]));
    mine.ship();
  };
  pay(id);
  pay('none');
  const { id: own } = granted(mine.request(money(20), plan));
  for (const amount of ['-5', '1e3', '0.5', '', '99999999999999999']) pay(own, amount);
  mine.write({ ...callBody(bot, [{ grant: own, costNanoUsd: '10' }]), costNanoUsd: '11' });
  mine.write(body('release', { grants: [id] }));
  mine.ship();
  mine.openEpoch();
  mine.write(callBody(bot, [{ grant: own, costNanoUsd: '10' }]));
  mine.ship();
  assert.deepEqual([...new Set(kinds(world))], ['quarantine foreign_grant', 'quarantine unknown_grant', 'quarantine bad_amount']);
  assert.equal(
    world.store.transaction((tx) => spent(tx, bot)),
    0,
  );
  assert.equal(accountOf(world)?.outstandingNanoUsd, '70');
});

test('one bad payment among good ones settles none of them', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const { id } = granted(proxy.request(money(50), plan));
  proxy.write(
    callBody(bot, [
      { grant: id, costNanoUsd: '10' },
      { grant: 'none', costNanoUsd: '10' },
    ]),
  );
  proxy.ship();
  assert.equal(
    world.store.transaction((tx) => spent(tx, bot)),
    0,
  );
});

test('a cost beyond the grant raises an alarm and is charged', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const { id } = granted(proxy.request(money(50), plan));
  proxy.write(callBody(bot, [{ grant: id, costNanoUsd: '75' }]));
  proxy.write(callBody(bot, [{ grant: id, costNanoUsd: '5' }]));
  proxy.ship();
  assert.deepEqual(
    world.notes.map(({ kind, nano }) => [kind, nano]),
    [
      ['overdraft', 25],
      ['spent_after_close', 5],
    ],
  );
  assert.equal(accountOf(world)?.spentNanoUsd, '80');
});

test('epoch_close releases all that the epoch still holds', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  granted(proxy.request(money(50), plan));
  granted(proxy.request(money(30), plan));
  proxy.write(body('epoch_close'));
  proxy.ship();
  assert.equal(accountOf(world)?.outstandingNanoUsd, '0');
  granted(world.proxy(bot, 'p2').request(money(100), plan));
});

test('recovery with a complete tail charges open calls at their bound and releases the rest, once', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const { id } = granted(proxy.request(money(50), plan));
  const charges = [{ requestId: 'r', paidFrom: [{ grant: id, costNanoUsd: '20', requests: 1 }] }];
  proxy.openEpoch();
  proxy.write(body('epoch_recovered', { recoveredEpoch: 1, lastSeq: -1, whole: true, charges }));
  proxy.write(body('epoch_recovered', { recoveredEpoch: 1, lastSeq: -1, whole: true, charges }));
  proxy.ship();
  assert.deepEqual(kinds(world), ['alarm recovered_twice']);
  const account = accountOf(world);
  assert.deepEqual(
    [account?.spentNanoUsd, account?.outstandingNanoUsd, account?.burnedNanoUsd, account?.requestsUsed],
    ['20', '0', '0', 1],
  );
});

test('recovery whose tail is not stored burns, and a late tail is charged to what burned', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const { id } = granted(proxy.request(money(50), plan));
  const late = proxy.write(callBody(bot, [{ grant: id, costNanoUsd: '20' }]));
  proxy.spool = [];
  proxy.openEpoch();
  proxy.write(body('epoch_recovered', { recoveredEpoch: 1, lastSeq: 0, whole: true, charges: [] }));
  proxy.ship();
  assert.deepEqual(kinds(world), ['alarm recovery_gap', 'alarm burned']);
  assert.equal(accountOf(world)?.burnedNanoUsd, '50');
  proxy.deliver(late);
  assert.deepEqual([accountOf(world)?.spentNanoUsd, accountOf(world)?.burnedNanoUsd], ['20', '30']);
});

test('recovery of an epoch that never was, or of a later one, is refused', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  proxy.write(body('epoch_recovered', { recoveredEpoch: 1, lastSeq: -1, whole: true, charges: [] }));
  proxy.write(body('epoch_recovered', { recoveredEpoch: 9, lastSeq: -1, whole: true, charges: [] }));
  proxy.ship();
  assert.deepEqual(kinds(world), ['quarantine recovery_gap', 'quarantine recovery_gap']);
});

test('a new epoch without evidence of the earlier one burns what that held', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  granted(proxy.request(money(50), plan));
  proxy.openEpoch();
  proxy.write(body('epoch_open'));
  proxy.ship();
  assert.equal(accountOf(world)?.burnedNanoUsd, '50');
  granted(proxy.request(money(50), plan));
});

test('an abandoned epoch burns what it held', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  const { id } = granted(proxy.request(money(70), plan));
  assert.deepEqual(
    world.store.transaction((tx) => abandon(tx, proxy.stream, 1)),
    [{ grant: id, nano: 70 }],
  );
  const fresh = world.proxy(bot, 'p2');
  assert.equal(denied(fresh.request(money(31), plan)).code, 'budget_exhausted');
});

test('a proxy that releases nothing is stopped at 256 open grants', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1');
  for (let count = 0; count < 256; count += 1) granted(proxy.request(money(1), planFor(bot, 1e6)));
  assert.match(denied(proxy.request(money(1), planFor(bot, 1e6))).message, /256 grants are open/);
});

test('a recall targets the keys whose proxies hold unspent what the denial is about, money or requests', () => {
  const world = fakeWorld(start);
  const team = keyName('agents', 'team');
  const under = (key: KeyName, own: number): AccountPlan => {
    const root = planFor(team, 100).nodes;
    return { key, path: [team, key], nodes: [...root, ...planFor(key, own).nodes] };
  };
  granted(world.proxy(bot, 'p1').request(money(60), under(bot, 1000)));
  granted(world.proxy(bot, 'p2').request(money(20), under(bot, 1000)));
  const short = world.proxy(other, 'p1');
  const targets = (denial: Denial) => world.store.transaction((tx) => recallTargets(tx, under(other, 1000), denial));
  const denial = denied(short.request(money(30), under(other, 1000)));
  assert.equal(denial.code, 'budget_reserved');
  assert.deepEqual(targets(denial), [bot]);
  assert.deepEqual(targets({ ...denial, code: 'budget_exhausted' }), [], 'nothing can come back');
});

test('idle requests of a sibling are recalled, of a quota and of a rate, even if no money is limited', () => {
  for (const window of ['Day', 'Minute'] as const) {
    const world = fakeWorld(start);
    const team = keyName('agents', 'team');
    const limits = window === 'Day' ? [{ window, requests: 10, timeZone: 'Etc/UTC' } as const] : [];
    const rate = window === 'Minute' ? { requestsPerMinute: 10 } : {};
    const under = (key: KeyName): AccountPlan => ({
      key,
      path: [team, key],
      nodes: [
        { key: team, limits, rate },
        { key, limits: [], rate: {} },
      ],
    });
    const call = (wantRequests: number) => money(0, { atLeastRequests: 1, wantRequests });
    const held = granted(world.proxy(bot, 'p1').request(call(10), under(bot))).requests ?? 0;
    assert.ok(held > 1);
    const short = world.proxy(other, 'p1');
    for (let got = held; got < 10; ) got += granted(short.request(call(1), under(other))).requests ?? 0;
    const denial = denied(short.request(call(1), under(other)));
    assert.equal(denial.code, window === 'Day' ? 'budget_reserved' : 'rate_limited');
    assert.ok(world.store.transaction((tx) => recallTargets(tx, under(other), denial)).includes(bot));
  }
});

test('if a cap is lowered below what is committed, or there is debt, the holders of its money are named', () => {
  const world = fakeWorld(start);
  const holders = (cap: number) => world.store.transaction((tx) => overdrawn(tx, [planFor(bot, cap), planFor(other, cap)]));
  granted(world.proxy(bot, 'p1').request(money(60), plan));
  assert.deepEqual(holders(60), []);
  assert.deepEqual(holders(59), [bot]);
});

test('the next window starts from 0, and the rest of the last cannot be spent in it', () => {
  const world = fakeWorld(start);
  const proxy = world.proxy(bot, 'p1' as StreamId);
  granted(proxy.request(money(100), plan));
  world.clock.nowMs = Date.UTC(2026, 10, 22);
  const reservation = proxy.reserve(need(100), plan);
  assert.equal(reservation?.amountNano, 100);
  assert.equal(proxy.wallet.heldNano(), 200);
  assert.equal(proxy.wallet.expired(world.clock.nowMs).length, 1);
});
