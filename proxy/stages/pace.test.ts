import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { Pace } from './pace.ts';

const bot = keyName('agents', 'bot');
const other = keyName('agents', 'other');

function paceAt(): { pace: Pace; pass: (ms: number) => void } {
  let nowMs = 1000;
  return { pace: new Pace({ monotonic: () => nowMs }), pass: (ms) => (nowMs += ms) };
}

function delays(pace: Pace, count: number, bytes = 0): number[] {
  return Array.from({ length: count }, () => pace.delayMs(bot, bytes));
}

test('a few refusals are answered at once, and then one each 5 ms', () => {
  const { pace } = paceAt();
  assert.deepEqual(new Set(delays(pace, 200)), new Set([0]));
  assert.deepEqual(delays(pace, 3), [5, 10, 15]);
});

test('one key that floods delays no other', () => {
  const { pace } = paceAt();
  delays(pace, 5000);
  assert.equal(pace.delayMs(other), 0);
  assert.equal(pace.delayMs(''), 0);
});

test('no delay is longer than five seconds, and a key that was quiet for six has none', () => {
  const { pace, pass } = paceAt();
  assert.equal(Math.max(...delays(pace, 5000)), 5000);
  pass(6000);
  assert.deepEqual(new Set(delays(pace, 200)), new Set([0]));
});

test('a client that waits for its answers is slowed to the rate', () => {
  const { pace, pass } = paceAt();
  let passedMs = 0;
  for (let n = 0; n < 1200; n += 1) {
    const delayMs = pace.delayMs(bot);
    passedMs += delayMs;
    pass(delayMs);
  }
  assert.equal(passedMs, 5000);
});

test('a refused body counts by its size', () => {
  const { pace } = paceAt();
  delays(pace, 200);
  assert.equal(pace.delayMs(bot, 8 * 1024 * 1024), 165);
});

test('a key that is on time again takes no memory for ever', () => {
  const { pace, pass } = paceAt();
  for (let n = 0; n < 5000; n += 1) {
    pace.delayMs(keyName('agents', `k${n}`));
    pass(10);
  }
  assert.ok(pace.size <= 1025, String(pace.size));
});
