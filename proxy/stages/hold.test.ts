import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PaidFrom } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import { createPurse, type Purse } from '../line.fixture.ts';
import { type Held, hold } from './hold.ts';

interface World {
  readonly purse: Purse;
  readonly lost: { readonly paidFrom: readonly PaidFrom[]; readonly costNano: number }[];
}

/** Holds 100 of 1000 and runs `scope`. */
function within(world: World, scope: (held: Held) => void): void {
  const reservation = world.purse.reserve({ boundNano: 100, atLeastNano: 100, preferredNano: 100, requests: 1, tokens: 10 }) as Reservation;
  using held = hold(world.purse, reservation, (paidFrom, costNano) => world.lost.push({ paidFrom, costNano }));
  scope(held);
}

/** Does the same with a scope that takes time. */
async function withinLong(world: World, scope: (held: Held) => Promise<void>): Promise<void> {
  const reservation = world.purse.reserve({ boundNano: 100, atLeastNano: 100, preferredNano: 100, requests: 1, tokens: 10 }) as Reservation;
  using held = hold(world.purse, reservation, (paidFrom, costNano) => world.lost.push({ paidFrom, costNano }));
  await scope(held);
}

function createWorld(): World {
  return { purse: createPurse(1000), lost: [] };
}

function left({ purse }: World): { free: number; reserved: number } {
  return { free: purse.freeNano(), reserved: purse.reservedNano() };
}

test('a call that is sent and settles pays its cost, and nothing is held after', () => {
  const world = createWorld();
  within(world, (held) => {
    assert.equal(held.amountNano, 100);
    assert.deepEqual(left(world), { free: 900, reserved: 100 });
    held.markSent('req_1');
    assert.deepEqual(held.settle(30, 12), [{ grant: 'g-1', costNanoUsd: '30', requests: 1, tokens: 12 }]);
  });
  assert.deepEqual(world.purse.opened, ['req_1']);
  assert.deepEqual(left(world), { free: 970, reserved: 0 });
  assert.deepEqual(world.lost, []);
});

test('a call that was never sent returns its whole reservation, whether its scope settles, returns or throws', () => {
  const world = createWorld();
  within(world, (held) => assert.deepEqual(held.settle(0, 0), []));
  within(world, () => {});
  assert.throws(
    () =>
      within(world, () => {
        throw new Error('defect');
      }),
    /defect/,
  );
  assert.deepEqual(left(world), { free: 1000, reserved: 0 });
  assert.deepEqual([world.purse.opened, world.lost], [[], []]);
});

test('a sent call with an unknown end is charged in full, and reported once', () => {
  const world = createWorld();
  assert.throws(
    () =>
      within(world, (held) => {
        held.markSent('req_1');
        throw new Error('defect');
      }),
    /defect/,
  );
  assert.deepEqual(left(world), { free: 900, reserved: 0 });
  assert.deepEqual(world.lost, [{ paidFrom: [{ grant: 'g-1', costNanoUsd: '100', requests: 1, tokens: 0 }], costNano: 100 }]);
});

test('an attempt that cost nothing is recorded so; a call that ends after it by a defect pays nothing, and after the next one its bound', () => {
  const world = createWorld();
  const fail = (attempts: 1 | 2): void => {
    within(world, (held) => {
      held.markSent('req_1');
      held.noteFree('req_1');
      if (attempts === 2) held.markSent('req_1');
    });
  };
  fail(1);
  assert.deepEqual(world.purse.outcomes, [{ requestId: 'req_1', costNano: 0 }]);
  assert.deepEqual([left(world), world.lost.map(({ costNano }) => costNano)], [{ free: 1000, reserved: 0 }, [0]]);
  fail(2);
  assert.deepEqual([left(world), world.lost.map(({ costNano }) => costNano)], [{ free: 900, reserved: 0 }, [0, 100]]);
});

test('a call whose last attempt cost nothing settles at what it is given', () => {
  const world = createWorld();
  within(world, (held) => {
    held.markSent('req_1');
    held.noteFree('req_1');
    assert.deepEqual(held.settle(0, 0), [{ grant: 'g-1', costNanoUsd: '0', requests: 1, tokens: 0 }]);
  });
  assert.deepEqual(world.lost, []);
});

const atOnce = { maxWaitMs: 0 };

test('a call that is sent again pays the bound of the lost attempt and the cost of the next one', async () => {
  const world = createWorld();
  await withinLong(world, async (held) => {
    held.markSent('req_1');
    assert.equal(await held.reserveAgain(atOnce), true);
    assert.deepEqual(left(world), { free: 800, reserved: 200 });
    held.markSent('req_1');
    assert.deepEqual([held.amountNano, held.lostNano], [100, 100]);
    assert.deepEqual(
      held.settle(30, 12).map(({ costNanoUsd }) => costNanoUsd),
      ['100', '30'],
    );
  });
  assert.deepEqual([left(world), world.purse.opened, world.lost], [{ free: 870, reserved: 0 }, ['req_1', 'req_1'], []]);
});

test('where no second reservation fits, the call keeps its first', async () => {
  const world = createWorld();
  world.purse.reserve({ boundNano: 850, atLeastNano: 850, preferredNano: 850, requests: 0, tokens: 0 });
  await withinLong(world, async (held) => {
    held.markSent('req_1');
    assert.equal(await held.reserveAgain(atOnce), false);
    assert.equal(held.lostNano, 0);
    held.settle(100, 0);
  });
  assert.deepEqual(left(world), { free: 50, reserved: 850 });
});

test('a call that a defect ends before it is sent again pays the lost attempt alone; after that, both', async () => {
  for (const [again, costNano] of [
    [false, 100],
    [true, 200],
  ] as const) {
    const world = createWorld();
    await withinLong(world, async (held) => {
      held.markSent('req_1');
      await held.reserveAgain(atOnce);
      if (again) held.markSent('req_1');
    });
    assert.deepEqual(left(world), { free: 1000 - costNano, reserved: 0 });
    assert.deepEqual(
      world.lost.map((lost) => lost.costNano),
      [costNano],
    );
  }
});

test('if the open record cannot be written, the call is not sent and returns its whole reservation', () => {
  const world = createWorld();
  world.purse.fill();
  assert.throws(() => within(world, (held) => held.markSent('req_1')), SpoolUnavailable);
  assert.deepEqual(left(world), { free: 1000, reserved: 0 });
  assert.deepEqual(world.lost, []);
});

test('a call that costs nothing holds nothing and opens no record', () => {
  const world = createWorld();
  {
    using held = hold(world.purse, null, () => assert.fail('nothing was lost'));
    held.markSent('req_1');
    assert.deepEqual([held.amountNano, held.settle(0, 5)], [0, []]);
  }
  assert.deepEqual([left(world), world.purse.opened], [{ free: 1000, reserved: 0 }, []]);
});
