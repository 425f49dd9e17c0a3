import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CallBody, Entry, PaidFrom } from '../../core/audit/types.ts';
import { creditSettled } from '../../core/budget/grant.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import { checkStore } from '../evidence/check.ts';
import {
  bot,
  callBody,
  closeBody,
  createWorld,
  planBelow,
  recoveredBody,
  stream,
  team,
  type World,
  type Writer,
} from '../evidence/evidence.fixture.ts';
import { keyObject, recordOwn } from '../evidence/own-stream.ts';
import { abandonedEvent } from '../evidence/supersede.ts';
import { type CreditOutcome, creditableOf, giveBack } from './credit.ts';
import { abandon, grant } from './ledger.ts';
import { keepClosedGrantsMs } from './settled.ts';
import { ledgerOf } from './tx-ledger.ts';
import { unmeasuredCharges } from './unmeasured.ts';
import { spent, view } from './view.ts';

const hourMs = 3_600_000;

interface Place {
  readonly world: World;
  readonly writer: Writer;
  readonly clock: { nowMs: number };
}

/** A key with one open epoch. */
function openPlace(): Place {
  const clock = { nowMs: Date.UTC(2026, 10, 20, 10) };
  const world = createWorld(':memory:', Buffer.alloc(32, 7), () => clock.nowMs);
  const writer = world.writer();
  world.ship([writer.open()]);
  return { world, writer, clock };
}

function estimated(requestId: string, paidFrom: readonly PaidFrom[], time = '2026-11-20T10:00:00.000Z'): CallBody {
  return { ...callBody(paidFrom), requestId, estimated: true, time };
}

/** Gives back and records it, as the key desk does. */
function credit({ world }: Place, nano?: number, key = bot): CreditOutcome {
  return world.store.transaction((tx) => {
    const outcome = giveBack(tx, nano === undefined ? { key } : { key, nano });
    if ('parts' in outcome) {
      const detail = { reason: 'not billed' };
      recordOwn(tx, { type: 'credited', object: keyObject(key), detail, credit: { key, parts: outcome.parts } }, world.deps);
    }
    return outcome;
  });
}

/** `kind id charged credited pending` of each charge. */
function listed({ world }: Place, key = bot): readonly string[] {
  return world.store
    .transaction((tx) => unmeasuredCharges(tx, key))
    .map((each) =>
      [
        each.kind,
        each.requestId ?? '-',
        each.parts.reduce((sum, { chargedNano }) => sum + chargedNano, 0),
        each.parts.reduce((sum, { creditedNano }) => sum + creditedNano, 0),
        each.pending ?? 'final',
      ].join(' '),
    );
}

function creditable({ world }: Place): number {
  return creditableOf(world.store.transaction((tx) => unmeasuredCharges(tx, bot)));
}

/** What an account of the key's path has settled, burned and outstanding, of the team and of the key itself. */
function committedOf({ world }: Place): readonly number[] {
  const { accounts } = world.store.transaction((tx) => view(tx, planBelow(team)));
  return accounts.map(({ spentNanoUsd, burnedNanoUsd, outstandingNanoUsd }) =>
    [spentNanoUsd, burnedNanoUsd, outstandingNanoUsd].reduce((sum, nano) => sum + Number(nano), 0),
  );
}

function problems({ world }: Place): readonly string[] {
  return checkStore(world.store, world.deps.rootKey, []).problems;
}

function abandonEpoch({ world }: Place, epoch = 1): void {
  world.store.transaction((tx) => {
    const row = tx.streams.epoch(stream, epoch) ?? assert.fail();
    tx.streams.putEpoch({ ...row, state: 'abandoned' });
    recordOwn(tx, abandonedEvent(row, abandon(tx, stream, epoch)), world.deps);
  });
}

test('an estimated call of a living proxy is given back at once, to every account that paid, and once', () => {
  const place = openPlace();
  const { world, writer } = place;
  const id = world.fund(writer, 1000);
  world.ship([writer.write(estimated('r-1', [{ costNanoUsd: '400', grant: id }])), writer.call([{ costNanoUsd: '300', grant: id }])]);
  assert.deepEqual(listed(place), ['estimated r-1 400 0 final']);
  assert.deepEqual(committedOf(place), [1000, 1000, 1000]);
  assert.deepEqual(credit(place), { parts: [{ grant: id, nanoUsd: '400', requestId: 'r-1' }] });
  assert.deepEqual(committedOf(place), [600, 600, 600]);
  assert.deepEqual(listed(place), ['estimated r-1 400 400 final']);
  assert.deepEqual(credit(place), { creditableNano: 0 });
  assert.deepEqual(problems(place), []);
  world.ship([writer.write(closeBody())]);
  assert.deepEqual(committedOf(place), [300, 300, 300]);
  assert.equal(
    world.store.transaction((tx) => spent(tx, team)),
    300,
  );
  assert.deepEqual(problems(place), []);
});

test('a call of a closed grant is given back, also beyond its grant, and the sums still agree once the grant is pruned', () => {
  const place = openPlace();
  const { world, writer, clock } = place;
  const id = world.fund(writer, 100);
  world.ship([writer.write(estimated('r-1', [{ costNanoUsd: '150', grant: id }])), writer.write(closeBody())]);
  assert.deepEqual(credit(place, 140), { parts: [{ grant: id, nanoUsd: '140', requestId: 'r-1' }] });
  assert.deepEqual(committedOf(place), [10, 10, 10]);
  assert.deepEqual(problems(place), []);
  clock.nowMs += keepClosedGrantsMs + 24 * hourMs;
  world.store.transaction((tx) => tx.ledger.prune(tx.now() - keepClosedGrantsMs));
  assert.deepEqual(listed(place), [], 'nobody knows any more who paid');
  assert.deepEqual(problems(place), []);
});

test('a call that a crash left open is given back once the record of that process is whole, a measured one never', () => {
  const place = openPlace();
  const { world, writer } = place;
  const id = world.fund(writer, 1000);
  const last = writer.call([{ costNanoUsd: '7', grant: id }]);
  const charges = [
    { requestId: 'r-1', paidFrom: [{ costNanoUsd: '300', grant: id }] },
    { requestId: 'r-2', paidFrom: [{ costNanoUsd: '200', grant: id }], measured: true as const },
  ];
  const body = recoveredBody({ lastSeq: 1, whole: false, charges });
  world.ship([world.writer().write(body)]);
  assert.deepEqual(listed(place), ['burned - 500 0 entries_missing', 'recovered r-1 300 0 entries_missing'].toReversed());
  assert.deepEqual(credit(place), { creditableNano: 0 });
  world.ship([last, world.writer().write(body)]);
  assert.deepEqual(listed(place), ['recovered r-1 300 0 final', 'burned - 493 0 final'], 'the second recovery charged nothing');
  assert.equal(creditable(place), 793);
  credit(place);
  assert.deepEqual(committedOf(place), [207, 207, 207]);
  assert.deepEqual(problems(place), []);
});

test('what an abandoned epoch burned is given back after two hours, and an entry that still comes is a debt', () => {
  const place = openPlace();
  const { world, writer, clock } = place;
  const id = world.fund(writer, 1000);
  abandonEpoch(place);
  clock.nowMs += 2 * hourMs - 1;
  assert.deepEqual(listed(place), ['burned - 1000 0 proxy_silent']);
  assert.deepEqual(credit(place, 1), { creditableNano: 0 });
  clock.nowMs += 1;
  assert.deepEqual(credit(place, 900), { parts: [{ grant: id, nanoUsd: '900' }] });
  assert.deepEqual(committedOf(place), [100, 100, 100]);
  world.ship([writer.call([{ costNanoUsd: '400', grant: id }])]);
  assert.deepEqual(committedOf(place), [400, 400, 400]);
  assert.deepEqual(listed(place), ['burned - 900 900 final']);
  assert.deepEqual(credit(place), { creditableNano: 0 });
  assert.deepEqual(problems(place), []);
});

test('what burned waits while its epoch lives again; a quarantined record ends like an abandoned one', () => {
  const place = openPlace();
  const { world, writer, clock } = place;
  world.fund(writer, 1000);
  abandonEpoch(place);
  clock.nowMs += hourMs;
  const row = world.epoch(1);
  const put = (state: 'open' | 'quarantined') => world.store.transaction((tx) => tx.streams.putEpoch({ ...row, state }));
  put('quarantined');
  assert.deepEqual(listed(place), ['burned - 1000 0 proxy_silent']);
  clock.nowMs += hourMs;
  assert.deepEqual(listed(place), ['burned - 1000 0 final']);
  put('open');
  assert.deepEqual(listed(place), ['burned - 1000 0 epoch_open']);
});

test('a part is given back from the oldest charge on, and more than all of it is refused without an effect', () => {
  const place = openPlace();
  const { world, writer } = place;
  const [first, second] = [world.fund(writer, 1000), world.fund(writer, 1000)];
  const split = [
    { costNanoUsd: '60', grant: first },
    { costNanoUsd: '40', grant: second },
  ];
  world.ship([
    writer.write(estimated('new', [{ costNanoUsd: '50', grant: second }], '2026-11-20T12:00:00Z')),
    writer.write(estimated('old', split, '2026-11-20T11:00:00Z')),
  ]);
  assert.deepEqual(credit(place, 151), { creditableNano: 150 });
  assert.deepEqual(committedOf(place), [2000, 2000, 2000]);
  credit(place, 70);
  assert.deepEqual(listed(place), ['estimated old 100 70 final', 'estimated new 50 0 final']);
  assert.deepEqual(credit(place), {
    parts: [
      { grant: second, nanoUsd: '30', requestId: 'old' },
      { grant: second, nanoUsd: '50', requestId: 'new' },
    ],
  });
  assert.deepEqual(committedOf(place), [1850, 1850, 1850]);
  assert.deepEqual(problems(place), []);
});

test('two charges of one call and grant are given back once each', () => {
  const place = openPlace();
  const { world, writer } = place;
  const grant = world.fund(writer, 1000);
  const twice = estimated('r-1', [{ costNanoUsd: '50', grant }]);
  world.ship([writer.write(twice), writer.write(twice)]);
  credit(place, 60);
  assert.deepEqual(listed(place), ['estimated r-1 50 50 final', 'estimated r-1 50 10 final']);
  credit(place);
  assert.deepEqual(credit(place), { creditableNano: 0 });
  assert.deepEqual(committedOf(place), [900, 900, 900]);
});

test('burned requests of a key without a dollar limit are given back, but not where an amount was ordered', () => {
  const { world, writer, clock } = openPlace();
  const plan: AccountPlan = {
    key: bot,
    path: [bot],
    nodes: [{ key: bot, limits: [{ window: 'Total', requests: 3, timeZone: 'Etc/UTC' }], rate: {} }],
  };
  const figures = { atLeastNano: 0, boundNano: 0, wantNano: 0, atLeastRequests: 1, wantRequests: 3, tokens: 0 } as const;
  const ask = { ...figures, stream, epoch: 1, head: writer.chain.head(), askId: 'a' };
  assert.ok('grant' in world.store.transaction((tx) => grant(tx, ask, plan)));
  const place = { world, writer, clock };
  abandonEpoch(place);
  clock.nowMs += 2 * hourMs;
  const used = () => world.store.transaction((tx) => view(tx, plan)).accounts[0]?.requestsUsed;
  assert.ok((used() ?? 0) > 0);
  assert.deepEqual(credit(place, 1), { creditableNano: 0 });
  assert.ok('parts' in credit(place));
  assert.equal(used(), 0);
  assert.deepEqual(credit(place), { creditableNano: 0 });
});

test('a record that gives back more of a call than its charge is found', () => {
  const place = openPlace();
  const { world, writer } = place;
  const paid = world.fund(writer, 1000);
  world.ship([writer.write(estimated('r-1', [{ costNanoUsd: '400', grant: paid }]))]);
  credit(place);
  const parts = [{ grant: paid, nanoUsd: '1', requestId: 'r-1' }];
  world.store.transaction((tx) => {
    creditSettled(ledgerOf(tx), ledgerOf(tx).grant(paid) ?? assert.fail(), 1, tx.now());
    recordOwn(tx, { type: 'credited', object: keyObject(bot), detail: {}, credit: { key: bot, parts } }, world.deps);
  });
  assert.deepEqual(problems(place), ['credit of agents/bot: $0.000000001 too much given back of call r-1']);
});

type Step =
  | { readonly do: 'call'; readonly cost: number; readonly estimated: boolean }
  | { readonly do: 'fund' | 'close' | 'abandon' | 'wait' }
  | { readonly do: 'crash'; readonly charged: number; readonly measured: boolean; readonly whole: boolean }
  | { readonly do: 'credit'; readonly nano?: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('call' as const), cost: fc.nat(400), estimated: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('fund', 'close', 'abandon', 'wait') }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('crash' as const), charged: fc.nat(200), measured: fc.boolean(), whole: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.nat(300).map((nano) => ({ do: 'credit' as const, nano })) },
  { weight: 2, arbitrary: fc.constant({ do: 'credit' as const }) },
);

/** One proxy, its epochs one after another. */
function run(steps: readonly Step[]): void {
  const place = openPlace();
  const { world, clock } = place;
  let { writer } = place;
  let grants: string[] = [];
  let calls = 0;
  const restart = (first: (next: Writer) => Entry): void => {
    writer = world.writer();
    world.ship([first(writer)]);
    grants = [];
  };
  const crash = ({ charged, measured, whole }: Extract<Step, { readonly do: 'crash' }>, grant: string | undefined): void => {
    calls += 1;
    const paidFrom = grant === undefined ? [] : [{ costNanoUsd: String(charged), grant }];
    const charge = { requestId: `r-${calls}`, paidFrom, ...(measured ? { measured: true as const } : {}) };
    const dead = { recoveredEpoch: writer.reply.epoch, lastSeq: writer.chain.head(), whole };
    restart((next) => next.write(recoveredBody({ ...dead, charges: [charge] })));
  };
  const perform = (now: Step): void => {
    const grant = grants.at(-1);
    if (now.do === 'wait') clock.nowMs += hourMs;
    if (now.do === 'credit') credit(place, now.nano);
    if (now.do === 'fund') grants.push(world.fund(writer, 300));
    if (now.do === 'abandon') abandonEpoch(place, writer.reply.epoch);
    if (now.do === 'close') {
      world.ship([writer.write(closeBody())]);
      restart((next) => next.open());
    }
    if (now.do === 'call' && grant !== undefined) {
      calls += 1;
      const body = estimated(`r-${calls}`, [{ costNanoUsd: String(now.cost), grant }]);
      world.ship([writer.write({ ...body, estimated: now.estimated })]);
    }
    if (now.do === 'crash') crash(now, grant);
  };
  for (const now of steps) {
    perform(now);
    for (const { id, account } of world.store.transaction((tx) => tx.ledger.accountsSince(0))) {
      for (const part of [account.settled, account.burned, account.outstanding])
        assert.ok(part.nano >= 0, `${id}: ${JSON.stringify(account)}`);
    }
  }
  const left = creditable(place);
  assert.deepEqual(credit(place, left + 1), { creditableNano: left });
  if (left > 0) credit(place, left);
  assert.equal(creditable(place), 0);
  assert.deepEqual(problems(place), []);
  world.store.close();
}

test('whatever was credited when, no account falls below zero and the entries explain every sum', () => {
  fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), run), { numRuns: 60 });
});
