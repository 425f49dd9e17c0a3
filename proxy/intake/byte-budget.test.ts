import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Sharers } from '../../core/budget/shares.ts';
import { keyName } from '../../core/names.ts';
import { BodyHold, ByteBudget } from './byte-budget.ts';

const mib = 1024 * 1024;
const [a, b, c] = [[keyName('agents', 'a')], [keyName('agents', 'b')], [keyName('agents', 'c')]] as const;
const [loud, quiet] = [
  [...c, keyName('agents', 'c.loud')],
  [...c, keyName('agents', 'c.quiet')],
] as const;

function holds(budget: ByteBudget): (sharers: Sharers) => BodyHold {
  return (sharers) => new BodyHold(budget, sharers);
}

test('a key may take everything while nobody else waits, and gives it back', () => {
  const budget = new ByteBudget({ totalBytes: 8 * mib });
  const hold = holds(budget)(a);
  assert.equal(budget.take(hold, 8 * mib), true);
  assert.equal(budget.usedBytes, 8 * mib);
  hold[Symbol.dispose]();
  hold[Symbol.dispose]();
  assert.equal(budget.usedBytes, 0);
});

test('a body without room waits for it, and is refused after the wait', async () => {
  const budget = new ByteBudget({ totalBytes: 8 * mib, waitMs: 20 });
  const hold = holds(budget);
  const first = hold(a);
  budget.take(first, 6 * mib);
  assert.equal(await budget.take(hold(b), 4 * mib), false);
  const waiting = budget.take(hold(b), 4 * mib);
  assert.equal(budget.waiting, 1);
  budget.release(first);
  assert.equal(await waiting, true);
  assert.equal(budget.usedBytes, 4 * mib);
});

test('a key gets at most half while another key waits, and the key that holds least comes first', async () => {
  const budget = new ByteBudget({ totalBytes: 8 * mib, waitMs: 60_000 });
  const hold = holds(budget);
  const full = hold(c);
  budget.take(full, 8 * mib);
  const order: string[] = [];
  const take = (key: typeof a, bytes: number): BodyHold => {
    const held = hold(key);
    void Promise.resolve(budget.take(held, bytes)).then((hasRoom) => order.push(`${key} ${hasRoom}`));
    return held;
  };
  const [a1] = [take(a, 3 * mib), take(a, 3 * mib), take(a, 3 * mib)] as [BodyHold, BodyHold, BodyHold];
  take(b, 3 * mib);
  const b2 = take(b, 3 * mib);
  budget.release(full);
  await turn();
  assert.deepEqual(order, [`${a} true`, `${b} true`]);
  // What a gives back goes to b or a, and never more than half to either while the other waits.
  budget.release(a1);
  await turn();
  assert.deepEqual(order.slice(2), [`${a} true`]);
  budget.release(b2);
  await turn();
  assert.deepEqual(order.slice(3), [`${b} false`]);
});

test('small bodies find room where large ones took everything', () => {
  const budget = new ByteBudget({ totalBytes: mib });
  const hold = holds(budget);
  assert.equal(budget.take(hold(a), mib), true);
  const small = Array.from({ length: 40 }, () => budget.take(hold(b), 60_000));
  assert.deepEqual([small[0], small[16], small[17], small[39]], [true, true, false, false]);
});

test('of bodies that grow, the newest gives way to the older ones', () => {
  const budget = new ByteBudget({ totalBytes: 4 * mib });
  const hold = holds(budget);
  const [old, young] = [hold(a), hold(b)];
  let ended = 0;
  young.onGiveWay = () => {
    ended += 1;
  };
  assert.equal(budget.grow(old, mib), true);
  assert.equal(budget.grow(young, 2 * mib), true);
  assert.equal(budget.grow(young, 2 * mib), false);
  assert.equal(budget.grow(old, 2 * mib), true);
  assert.equal(ended, 1);
  assert.equal(budget.usedBytes, 3 * mib);
});

test('a body that leaves the line holds nothing', async () => {
  const budget = new ByteBudget({ totalBytes: mib, waitMs: 60_000 });
  const hold = holds(budget);
  const first = hold(a);
  budget.take(first, mib);
  const gone = hold(b);
  const waiting = budget.take(gone, mib);
  budget.release(gone);
  assert.equal(await waiting, false);
  budget.release(first);
  assert.deepEqual([budget.usedBytes, budget.waiting], [0, 0]);
});

test('a sub-agent key that holds all leaves room to another key below its VirtualKey, and the VirtualKey to others', async () => {
  const budget = new ByteBudget({ totalBytes: 8 * mib });
  const holdOf = holds(budget);
  const held = [holdOf(loud), holdOf(loud)];
  for (const hold of held) assert.equal(budget.take(hold, 4 * mib), true);
  const order: string[] = [];
  const wait = (sharers: Sharers, name: string): void => {
    void Promise.resolve(budget.take(holdOf(sharers), 2 * mib)).then(() => order.push(name));
  };
  wait(loud, 'loud');
  wait(quiet, 'quiet');
  wait(a, 'a');
  held[0]?.[Symbol.dispose]();
  await turn();
  // Its VirtualKey may have half while another waits, and of that the quiet key comes before the loud one.
  assert.deepEqual(order, ['a', 'quiet']);
  held[1]?.[Symbol.dispose]();
  await turn();
  assert.deepEqual(order, ['a', 'quiet', 'loud']);
});
