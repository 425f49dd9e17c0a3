import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PaidFrom } from '../../core/audit/types.ts';
import { noClaims } from '../../core/budget/account-limit.ts';
import type { Reservation } from '../../core/budget/types.ts';
import { type KeyName, keyName } from '../../core/names.ts';
import type { AccountNode, AccountPlan } from '../../core/policy/documents.ts';
import { endEscrow, mintEscrow } from './escrow.ts';
import { createOracle } from './fake-oracle.ts';
import { accountsNow, body, callBody, type FakeProxy, fakeWorld, type Written } from './fake-world.ts';
import { abandon } from './ledger.ts';
import { ledgerOf } from './tx-ledger.ts';

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
    call.proxy.write(callBody(call.proxy.key, call.proxy.wallet.settle(call.reservation, call.cost, 30)));
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

  const admit = (now: Extract<Step, { readonly do: 'call' }>): void => {
    const proxy = proxyAt(now.who);
    if (now.used % 3 === 0) arrived(proxy, proxy.ship());
    const atLeastNano = Math.min(now.least, now.bound);
    const plan = planOf(proxy.key, caps);
    const reservation = proxy.reserve(
      { atLeastNano, preferredNano: Math.floor((atLeastNano + now.bound) / 2), boundNano: now.bound, requests: 1, tokens: 40 },
      plan,
    );
    if (reservation === null) return;
    assert.ok(reservation.amountNano >= atLeastNano && reservation.amountNano <= now.bound);
    for (const { grant } of [...reservation.parts, ...(reservation.counted === undefined ? [] : [reservation.counted])]) {
      const booked = world.store.transaction((tx) => ledgerOf(tx).grant(grant));
      assert.ok(booked?.epoch === proxy.epoch && world.clock.nowMs < (booked.endMs ?? Number.MAX_SAFE_INTEGER), 'I5');
    }
    // A call whose output limit the caller fixed can cost its whole bound, even if less was reserved.
    const most = atLeastNano === now.bound ? now.bound : reservation.amountNano;
    const cost = Math.floor((most * now.used) / 100);
    oracle.providerBills(accountsNow(plan, world.clock.nowMs), cost);
    calls.push({ proxy, reservation, cost });
  };
  const ship = (now: Extract<Step, { readonly do: 'ship' }>): void => {
    const proxy = proxyAt(now.who);
    const shipped = proxy.ship(now.most);
    arrived(proxy, shipped);
    if (now.twice) for (const written of shipped) proxy.deliver(written);
  };
  const refill = (proxy: FakeProxy): void => {
    const shortage = proxy.wallet.refill(world.clock.nowMs);
    if (shortage !== null) proxy.request(shortage, planOf(proxy.key, caps));
  };
  const release = (proxy: FakeProxy): void => {
    const grants = proxy.wallet.idle(world.clock.nowMs);
    proxy.wallet.drop(grants);
    proxy.write(body('release', { grants }));
  };
  const abandonEpoch = (proxy: FakeProxy): void =>
    world.store.transaction((tx) => {
      abandon(tx, proxy.stream, proxy.epoch);
      const row = tx.streams.epoch(proxy.stream, proxy.epoch);
      if (row !== null) tx.streams.putEpoch({ ...row, state: 'abandoned' });
    });

  const perform = (now: Step): void => {
    switch (now.do) {
      case 'call':
        admit(now);
        return;
      case 'finish': {
        const call = calls[now.which % Math.max(1, calls.length)];
        if (call !== undefined) finish(call);
        return;
      }
      case 'ship':
        ship(now);
        return;
      case 'refill':
        refill(proxyAt(now.who));
        return;
      case 'release':
        release(proxyAt(now.who));
        return;
      case 'abandon':
        abandonEpoch(proxyAt(now.who));
        return;
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
        minted =
          'denial' in
            world.store.transaction((tx) => mintEscrow(tx, planOf(bot, caps), { child: kid, usdNano: now.usd, claims: noClaims })) ===
          false;
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

test('in any order of events, no account commits more than its cap and no provider bills more', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) => run(steps)),
    { numRuns: Number(process.env['KEYFORGE_MODEL_RUNS'] ?? 80) },
  );
});
