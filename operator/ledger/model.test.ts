import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PaidFrom } from '../../core/audit/types.ts';
import { committed } from '../../core/budget/account.ts';
import { slotsAt } from '../../core/budget/slot.ts';
import type { Reservation } from '../../core/budget/types.ts';
import { type KeyName, keyName } from '../../core/key.ts';
import type { AccountNode, AccountPlan } from '../../core/policy/documents.ts';
import { booksOf } from './books.ts';
import { endEscrow, mintEscrow } from './escrow.ts';
import { body, callBody, type FakeProxy, fakeWorld, type World, type Written } from './fake-world.ts';
import { abandon } from './ledger.ts';
import { spent } from './view.ts';

const org = keyName('platform', 'org');
const bot = keyName('agents', 'bot');
const peer = keyName('agents', 'peer');
const kid = keyName('agents', 'bot.kid');

interface Caps {
  orgDay: number;
  orgTotal: number;
  botDay: number;
  botRequests: number;
  kid: number;
}

function planOf(key: KeyName, caps: Caps): AccountPlan {
  const zone = { timeZone: 'America/New_York' };
  const root: AccountNode = {
    key: org,
    limits: [
      { window: 'Total', usdNano: caps.orgTotal, ...zone },
      { window: 'Day', usdNano: caps.orgDay, ...zone },
    ],
    rate: {},
  };
  const middle: AccountNode = {
    key: bot,
    limits: [{ window: 'Day', usdNano: caps.botDay, requests: caps.botRequests, ...zone }],
    rate: { requestsPerMinute: 9, tokensPerMinute: 500 },
  };
  const nodes = key === peer ? [root, { key: peer, limits: [], rate: {} }] : [root, middle];
  if (key === kid) nodes.push({ key: kid, limits: [], rate: {}, escrowNano: caps.kid });
  return { key, path: nodes.map((node) => node.key), nodes };
}

interface Call {
  readonly proxy: FakeProxy;
  readonly epoch: number;
  readonly reservation: Reservation;
  readonly cost: number;
}

type Step =
  | { readonly do: 'call'; readonly who: number; readonly least: number; readonly bound: number; readonly used: number }
  | { readonly do: 'finish'; readonly which: number }
  | { readonly do: 'ship'; readonly who: number; readonly most: number; readonly twice: boolean }
  | { readonly do: 'refill' | 'release' | 'abandon'; readonly who: number }
  | { readonly do: 'crash'; readonly who: number; readonly spool: 'whole' | 'lost' | 'late' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'cap'; readonly which: keyof Omit<Caps, 'kid'>; readonly to: number }
  | { readonly do: 'mint'; readonly usd: number }
  | { readonly do: 'end' };

const who = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('call' as const), who, least: fc.nat(100), bound: fc.nat(200), used: fc.nat(100) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('ship' as const), who, most: fc.nat(5), twice: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('refill', 'release', 'abandon'), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), who, spool: fc.constantFrom('whole', 'lost', 'late') }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 900, 61_000, 3_600_000, 90_000_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('cap' as const),
      which: fc.constantFrom('orgDay', 'orgTotal', 'botDay', 'botRequests'),
      to: fc.nat(2000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mint' as const), usd: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const) }) },
);

/** What must be true, from the outside: caps as they were set, what the provider billed, what was written down. */
function createOracle() {
  const allowed = new Map<string, { nano: number; requests: number }>();
  const highest = new Map<string, { nano: number; requests: number }>();
  const billed = new Map<string, { nano: number; requests: number }>();
  const recorded = new Map<KeyName, number>();
  return {
    /** I1's effective cap: max(cap, what was committed when it was lowered). */
    capsAre: (plans: readonly AccountPlan[], world: World) =>
      world.store.transaction((tx) => {
        for (const slot of plans.flatMap((plan) => slotsAt(plan, tx.now()))) {
          const account = booksOf(tx).account(slot.id);
          const now = account === null ? { nano: 0, requests: 0 } : committed(account);
          const cap = { nano: slot.cap.nano ?? Number.MAX_SAFE_INTEGER, requests: slot.cap.requests ?? Number.MAX_SAFE_INTEGER };
          allowed.set(slot.id, { nano: Math.max(cap.nano, now.nano), requests: Math.max(cap.requests, now.requests) });
          const before = highest.get(slot.id) ?? cap;
          highest.set(slot.id, { nano: Math.max(cap.nano, before.nano), requests: Math.max(cap.requests, before.requests) });
        }
      }),
    providerBills: (ids: readonly string[], nano: number) => {
      for (const id of ids) {
        const before = billed.get(id) ?? { nano: 0, requests: 0 };
        billed.set(id, { nano: before.nano + nano, requests: before.requests + 1 });
      }
    },
    recorded: (path: readonly KeyName[], paid: readonly PaidFrom[]) => {
      const cost = paid.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
      for (const key of path) recorded.set(key, (recorded.get(key) ?? 0) + cost);
    },
    check: (world: World) =>
      world.store.transaction((tx) => {
        for (const [id, cap] of allowed) {
          const account = booksOf(tx).account(id);
          if (account === null) continue;
          const sum = committed(account);
          assert.ok(sum.nano <= cap.nano && sum.requests <= cap.requests, `I1: ${id} has ${JSON.stringify(account)}, may have ${cap.nano}`);
          for (const part of [account.settled, account.burned, account.outstanding]) {
            assert.ok(part.nano >= 0 && part.requests >= 0 && part.tokens >= 0, `${id} below zero: ${JSON.stringify(account)}`);
          }
        }
        for (const [id, bill] of billed) {
          const cap = highest.get(id);
          assert.ok(cap && bill.nano <= cap.nano && bill.requests <= cap.requests, `${id} was billed ${JSON.stringify(bill)}`);
          const account = booksOf(tx).account(id);
          const covered = account && committed(account);
          assert.ok(covered && bill.nano <= covered.nano, `${id} does not cover its bill`);
          assert.ok(cap.requests === Number.MAX_SAFE_INTEGER || bill.requests <= covered.requests, `${id} does not cover its calls`);
        }
      }),
    checkEnd: (world: World) =>
      world.store.transaction((tx) => {
        for (const [key, cost] of recorded) assert.equal(spent(tx, key), cost, `spend of ${key} is the sum of its entries`);
        for (const id of allowed.keys()) {
          const account = booksOf(tx).account(id);
          assert.ok(account === null || (account.outstanding.nano === 0 && account.holders === 0), `${id} still holds something`);
        }
      }),
  };
}

function run(steps: readonly Step[]): void {
  const world = fakeWorld(Date.UTC(2026, 9, 31, 22));
  const caps: Caps = { orgDay: 1500, orgTotal: 4000, botDay: 800, botRequests: 30, kid: 0 };
  const oracle = createOracle();
  const proxies = [world.proxy(bot, 'p1'), world.proxy(bot, 'p2'), world.proxy(peer, 'p1'), world.proxy(kid, 'p1')];
  const proxyAt = (index: number): FakeProxy => proxies[index % proxies.length] ?? world.proxy(bot, 'p1');
  let calls: Call[] = [];
  let minted = false;

  const finish = (call: Call): void => {
    calls = calls.filter((other) => other !== call);
    const paid = call.proxy.wallet.settle(call.reservation, call.cost, 30);
    record(call.proxy, paid);
  };
  const record = (proxy: FakeProxy, paid: readonly PaidFrom[]): void => {
    proxy.write(callBody(proxy.key, paid));
  };
  const arrived = (proxy: FakeProxy, shipped: readonly Written[]): void => {
    for (const { body: written } of shipped) {
      const paid = written.type === 'call' ? written.paidFrom : [];
      const charged = written.type === 'epoch_recovered' ? written.charges.flatMap((charge) => charge.paidFrom) : [];
      oracle.recorded(planOf(proxy.key, caps).path, [...paid, ...charged]);
    }
  };
  const crash = (proxy: FakeProxy, spool: 'whole' | 'lost' | 'late'): void => {
    const mine = calls.filter((call) => call.proxy === proxy);
    calls = calls.filter((call) => call.proxy !== proxy);
    const { epoch, head } = proxy;
    const unshipped = proxy.spool;
    proxy.openEpoch();
    proxy.spool = [];
    const charges = spool === 'lost' ? [] : mine.map(({ reservation }) => ({ requestId: 'r', paidFrom: atBound(reservation) }));
    proxy.write(
      body('epoch_recovered', { recoveredEpoch: epoch, lastSeq: spool === 'lost' ? -1 : head, whole: spool !== 'lost', charges }),
    );
    if (spool === 'whole') proxy.spool = [...unshipped, ...proxy.spool];
    if (spool === 'late') proxy.spool = [...proxy.spool, ...unshipped];
  };

  const perform = (now: Step): void => {
    switch (now.do) {
      case 'call': {
        const proxy = proxyAt(now.who);
        if (now.used % 3 === 0) arrived(proxy, proxy.ship());
        const atLeastNano = Math.min(now.least, now.bound);
        const plan = planOf(proxy.key, caps);
        const reservation = proxy.reserve({ atLeastNano, boundNano: now.bound, requests: 1, tokens: 40 }, plan);
        if (reservation === null) return;
        assert.ok(reservation.amountNano >= atLeastNano && reservation.amountNano <= now.bound);
        for (const part of [...reservation.parts, ...(reservation.counted === undefined ? [] : [reservation.counted])]) {
          const grant = world.store.transaction((tx) => booksOf(tx).grant(part.grant));
          assert.ok(grant?.epoch === proxy.epoch && world.clock.nowMs < (grant.endMs ?? Number.MAX_SAFE_INTEGER), 'I5');
        }
        // A call whose output limit the caller fixed can cost its whole bound, whatever was reserved.
        const most = atLeastNano === now.bound ? now.bound : reservation.amountNano;
        const cost = Math.floor((most * now.used) / 100);
        oracle.providerBills(
          slotsAt(plan, world.clock.nowMs).map(({ id }) => id),
          cost,
        );
        calls.push({ proxy, epoch: proxy.epoch, reservation, cost });
        return;
      }
      case 'finish': {
        const call = calls[now.which % Math.max(1, calls.length)];
        if (call !== undefined) finish(call);
        return;
      }
      case 'ship': {
        const proxy = proxyAt(now.who);
        const shipped = proxy.ship(now.most);
        arrived(proxy, shipped);
        if (now.twice) for (const written of shipped) proxy.deliver(written);
        return;
      }
      case 'refill': {
        const proxy = proxyAt(now.who);
        const shortage = proxy.wallet.refill(world.clock.nowMs);
        if (shortage !== null) proxy.ask(shortage, planOf(proxy.key, caps));
        return;
      }
      case 'release': {
        const proxy = proxyAt(now.who);
        const grants = proxy.wallet.idle(world.clock.nowMs);
        proxy.wallet.drop(grants);
        proxy.write(body('release', { grants }));
        return;
      }
      case 'abandon': {
        const proxy = proxyAt(now.who);
        world.store.transaction((tx) => {
          abandon(tx, proxy.stream, proxy.epoch);
          const row = tx.streams.epoch(proxy.stream, proxy.epoch);
          if (row !== null) tx.streams.putEpoch({ ...row, state: 'abandoned' });
        });
        return;
      }
      case 'crash':
        crash(proxyAt(now.who), now.spool);
        return;
      case 'wait':
        world.clock.nowMs += now.ms;
        return;
      case 'cap':
        caps[now.which] = now.to;
        return;
      case 'mint':
        if (minted) return;
        minted = 'denial' in world.store.transaction((tx) => mintEscrow(tx, planOf(bot, caps), kid, now.usd)) === false;
        caps.kid = now.usd;
        return;
      case 'end':
        minted = false;
        world.store.transaction((tx) => endEscrow(tx, kid));
    }
  };

  for (const now of steps) {
    oracle.capsAre(
      [bot, peer, kid].map((key) => planOf(key, caps)),
      world,
    );
    perform(now);
    oracle.check(world);
  }
  for (const call of calls) finish(call);
  for (const proxy of proxies) {
    proxy.write(body('epoch_close'));
    arrived(proxy, proxy.ship());
  }
  world.store.transaction((tx) => endEscrow(tx, kid));
  oracle.check(world);
  oracle.checkEnd(world);
  const wrong = world.notes.filter(({ kind }) => kind !== 'burned' && kind !== 'recovery_gap');
  assert.deepEqual(wrong, [], 'nothing is spent beyond its grant and nothing is quarantined');
  world.store.close();
}

function atBound({ parts, counted }: Reservation): readonly PaidFrom[] {
  const paid = parts.map(({ grant, nano }) => ({ grant, costNanoUsd: String(nano) }));
  if (counted === undefined) return paid;
  return [...paid, { grant: counted.grant, costNanoUsd: '0', requests: 1 as const, tokens: counted.tokens }];
}

test('whatever happens in whatever order, no account commits more than its cap and no provider bills more', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) => run(steps)),
    { numRuns: Number(process.env['KEYFORGE_MODEL_RUNS'] ?? 100) },
  );
});
