import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RetryBudget } from './retry-budget.ts';

/** Takes until it is refused, at most `most` times; returns how many there were. */
function takeAll(budget: RetryBudget, nowMs: number, most = 10_000): number {
  let taken = 0;
  while (taken < most && budget.take(nowMs)) taken += 1;
  return taken;
}

test('a quiet pool has 30 retries in 10 s', () => {
  const budget = new RetryBudget();
  assert.equal(takeAll(budget, 5000), 30);
  assert.equal(takeAll(budget, 14_999), 0);
  assert.equal(takeAll(budget, 15_000), 30);
});

test('a busy pool has a fifth of its calls of the last 10 s', () => {
  const budget = new RetryBudget();
  for (let i = 0; i < 1000; i += 1) budget.noteCall(i * 9);
  assert.equal(takeAll(budget, 9000), 200);
  assert.equal(takeAll(budget, 60_000), 30, 'calls of a minute ago count no more');
});

test('who may take only a part leaves the rest', () => {
  const budget = new RetryBudget();
  assert.equal(Array.from({ length: 50 }, () => budget.take(5000, 0.5)).filter(Boolean).length, 15);
  assert.equal(takeAll(budget, 5000), 15);
});

test('a clock that goes back gives nothing twice', () => {
  const budget = new RetryBudget();
  assert.equal(takeAll(budget, 100_000), 30);
  assert.equal(takeAll(budget, 50_000), 0);
});

test('retries of any window of ten slots are at most the larger of 30 and a fifth of its calls', () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 3000 }),
    calls: fc.integer({ min: 0, max: 400 }),
    tries: fc.integer({ min: 0, max: 90 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const budget = new RetryBudget();
      const log: { readonly second: number; readonly calls: number; readonly retries: number }[] = [];
      let nowMs = 0;
      for (const { waitMs, calls, tries } of steps) {
        nowMs += waitMs;
        for (let i = 0; i < calls; i += 1) budget.noteCall(nowMs);
        const second = Math.floor(nowMs / 1000);
        const recent = log.filter((each) => each.second > second - 10);
        const known = recent.reduce((sum, each) => sum + each.calls, calls);
        const before = recent.reduce((sum, each) => sum + each.retries, 0);
        const retries = takeAll(budget, nowMs, tries);
        assert.equal(retries, Math.min(tries, Math.max(0, Math.ceil(Math.max(30, known * 0.2) - before))));
        log.push({ second, calls, retries });
      }
    }),
  );
});
