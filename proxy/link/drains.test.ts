import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { createDrains } from './drains.ts';

const bot = [keyName('agents', 'bot')] as const;

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
  const over = drains.take(bot, flights[0]);
  drains.take(bot, flights[1]);
  const notTaken = drains.take(bot, flights[2]);
  assert.deepEqual([flights.map(({ stopped }) => stopped), drains.count], [[0, 0, 1, 0], 2]);
  notTaken();
  assert.equal(drains.count, 2);
  over();
  drains.take(bot, flights[3]);
  assert.deepEqual([flights.map(({ stopped }) => stopped), drains.count], [[0, 0, 1, 0], 2]);
  drains.stop();
});

test('a drain that takes too long is stopped, one that was over in time is not', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const drains = createDrains({ drains: 2, drainMs: 1000 });
  const [slow, quick] = [flight(), flight()];
  drains.take(bot, slow);
  const over = drains.take(bot, quick);
  t.mock.timers.tick(999);
  assert.equal(slow.stopped, 0);
  over();
  t.mock.timers.tick(1);
  assert.deepEqual([slow.stopped, quick.stopped], [1, 0]);
});

test('at the end of the process all are stopped, and all that come after', () => {
  const drains = createDrains({ drains: 2, drainMs: 1000 });
  const [before, after] = [flight(), flight()];
  const over = drains.take(bot, before);
  drains.stop();
  drains.take(bot, after);
  assert.deepEqual([before.stopped, after.stopped], [1, 1]);
  over();
  assert.equal(drains.count, 0);
});

test('a key that disconnects all the time leaves room for the drains of others, and its own make room as they end', () => {
  const drains = createDrains({ drains: 64, drainMs: 1000 });
  const other = [keyName('agents', 'other')] as const;
  const storm = Array.from({ length: 64 }, flight);
  const overs = storm.map((each) => drains.take(bot, each));
  assert.equal(drains.count, 43);
  assert.equal(storm.filter(({ stopped }) => stopped === 1).length, 64 - 43);
  const [polite, later] = [flight(), flight()];
  drains.take(other, polite);
  assert.equal(polite.stopped, 0);
  for (const over of overs) {
    over();
    over();
  }
  assert.equal(drains.count, 1);
  drains.take(bot, later);
  assert.deepEqual([later.stopped, drains.count], [0, 2]);
  drains.stop();
});
