import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Sharers } from '../../core/budget/shares.ts';
import { keyName } from '../../core/names.ts';
import { Slots } from './slots.ts';

const [a, b, c] = [[keyName('agents', 'a')], [keyName('agents', 'b')], [keyName('agents', 'c')]] as const;
const [loud, quiet] = [
  [...a, keyName('agents', 'a.loud')],
  [...a, keyName('agents', 'a.quiet')],
] as const;
const never = (): AbortSignal => new AbortController().signal;

function open(total: number, maxWaitMs = 60_000): Slots {
  let now = 0;
  return new Slots({ total, maxWaitMs, monotonic: () => (now += 1) });
}

/** Takes slots; returns how many were there at once. */
function takeMany(slots: Slots, key: Sharers, count: number): number {
  return Array.from({ length: count }, () => slots.take(key, never)).filter((taken) => taken === true).length;
}

test('a key alone gets two thirds, and the next keys find room at once', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const slots = open(384);
  assert.equal(takeMany(slots, a, 400), 256);
  assert.equal(takeMany(slots, b, 40), 40);
  assert.equal(takeMany(slots, c, 30), 30);
});

test('what comes free goes to the keys in turn, and within a key by age', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const slots = open(3);
  assert.equal(takeMany(slots, a, 2), 2);
  const order: string[] = [];
  const wait = (key: Sharers, name: string): void => {
    void Promise.resolve(slots.take(key, never)).then((taken) => order.push(`${name} ${taken}`));
  };
  for (const [key, name] of [
    [a, 'a1'],
    [a, 'a2'],
    [b, 'b1'],
    [b, 'b2'],
    [b, 'b3'],
  ] as const)
    wait(key, name);
  await turn();
  assert.deepEqual(order, ['b1 true']);
  for (const key of [a, a, b]) slots.release(key);
  await turn();
  assert.deepEqual(order.slice(1), ['a1 true', 'b2 true', 'a2 true']);
  assert.deepEqual([slots.used, slots.waiting], [3, 1]);
});

test('a sub-agent key that floods makes no other key below its VirtualKey wait', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const slots = open(384);
  assert.equal(takeMany(slots, loud, 400), 220);
  assert.equal(takeMany(slots, quiet, 30), 30);
  for (let n = 0; n < 60; n += 1) slots.release(loud);
  await turn();
  assert.deepEqual([takeMany(slots, quiet, 1), takeMany(slots, b, 1)], [1, 1]);
});

test('a wait ends with its time or its call, and holds nothing', async () => {
  const slots = open(1, 10);
  assert.equal(slots.take(a, never), true);
  assert.equal(await slots.take(b, never), false);
  const leaver = new AbortController();
  const waiting = slots.take(b, () => leaver.signal);
  leaver.abort();
  assert.equal(await waiting, false);
  assert.equal(await slots.take(b, () => leaver.signal), false);
  slots.release(a);
  assert.deepEqual([slots.used, slots.waiting], [0, 0]);
});

test('there are never more than all, nobody who has room waits, and nothing is lost', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const step = fc.record({ key: fc.constantFrom(a, b, c), takes: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 80 }), async (total, steps) => {
      const slots = open(total);
      const held: Sharers[] = [];
      const waiting: Sharers[] = [];
      const take = (key: Sharers): void => {
        waiting.push(key);
        void Promise.resolve(slots.take(key, never)).then(() => {
          waiting.splice(waiting.indexOf(key), 1);
          held.push(key);
        });
      };
      const release = async (key: Sharers): Promise<void> => {
        if (!held.includes(key)) return;
        held.splice(held.indexOf(key), 1);
        slots.release(key);
        await turn();
      };
      for (const { key, takes } of steps) {
        if (takes) take(key);
        else await release(key);
        await turn();
        assert.equal(slots.used, held.length);
        assert.ok(held.length <= total);
        for (const each of waiting) assert.ok(held.filter((other) => other === each).length >= 2 * (total - held.length));
      }
      for (let key = held[0]; key !== undefined; key = held[0]) await release(key);
      assert.deepEqual([slots.used, slots.waiting], [0, 0]);
    }),
  );
});
