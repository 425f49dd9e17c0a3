import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDrains } from './drains.ts';

interface Flight {
  stopped: number;
  stop(): void;
}

function flight(): Flight {
  return {
    stopped: 0,
    stop() {
      this.stopped += 1;
    },
  };
}

test('a drain beyond the limit is stopped at once, and each that ends makes room', () => {
  const drains = createDrains({ drains: 2, drainMs: 1000 });
  const flights = [flight(), flight(), flight(), flight()] as const;
  const over = drains.take(flights[0]);
  drains.take(flights[1]);
  const notTaken = drains.take(flights[2]);
  assert.deepEqual([flights.map(({ stopped }) => stopped), drains.count], [[0, 0, 1, 0], 2]);
  notTaken();
  assert.equal(drains.count, 2);
  over();
  drains.take(flights[3]);
  assert.deepEqual([flights.map(({ stopped }) => stopped), drains.count], [[0, 0, 1, 0], 2]);
  drains.stop();
});

test('a drain that takes too long is stopped, one that was over in time is not', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const drains = createDrains({ drains: 2, drainMs: 1000 });
  const [slow, quick] = [flight(), flight()];
  drains.take(slow);
  const over = drains.take(quick);
  t.mock.timers.tick(999);
  assert.equal(slow.stopped, 0);
  over();
  t.mock.timers.tick(1);
  assert.deepEqual([slow.stopped, quick.stopped], [1, 0]);
});

test('at the end of the process all are stopped, and all that come after', () => {
  const drains = createDrains({ drains: 2, drainMs: 1000 });
  const [before, after] = [flight(), flight()];
  const over = drains.take(before);
  drains.stop();
  drains.take(after);
  assert.deepEqual([before.stopped, after.stopped], [1, 1]);
  over();
  assert.equal(drains.count, 0);
});
