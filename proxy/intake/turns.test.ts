import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from './turns.ts';

test('one slice is granted a turn of the event loop, to those that wait in their order', async () => {
  const turns = new Turns();
  const slices: string[] = [];
  let turn = 0;
  let isDone = false;
  const count = (): void => {
    turn += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const work = async (name: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice += 1) {
      await turns.next();
      slices.push(`${name}${slice} ${turn}`);
    }
  };
  await Promise.all([work('a'), work('b')]);
  isDone = true;
  assert.deepEqual(
    slices.map((slice) => slice.slice(0, 2)),
    ['a0', 'b0', 'a1', 'b1', 'a2', 'b2'],
  );
  assert.equal(new Set(slices.map((slice) => slice.slice(3))).size, 6, slices.join(', '));
});
