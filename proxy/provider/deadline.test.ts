import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadlineOf, parseDuration } from './deadline.ts';

const now = Date.UTC(2026, 10, 20, 12);

test('durations of every spelling', () => {
  assert.equal(parseDuration('12ms'), 12);
  assert.equal(parseDuration('6m0s'), 360_000);
  assert.equal(parseDuration('1h2m3.5s'), 3_723_500);
  assert.equal(parseDuration('48.939935699s'), 48_939.935699);
  assert.equal(parseDuration('1d'), 86_400_000);
  assert.ok(['', '5', 'soon', '-3s', '3s2m'].every((text) => Number.isNaN(parseDuration(text))));
});

for (const [headers, waitMs] of [
  [{}, null],
  [{ 'retry-after': '20' }, 20_000],
  [{ 'retry-after': '1.5' }, 1_500],
  [{ 'retry-after': 'Fri, 20 Nov 2026 12:00:30 GMT' }, 30_000],
  [{ 'retry-after': 'Fri, 20 Nov 2026 11:00:00 GMT' }, null],
  [{ 'retry-after': '20', 'retry-after-ms': '20500' }, 20_500],
  [{ 'retry-after': '1', 'retry-after-ms': '0' }, 1_000],
  [{ 'retry-after': '-1' }, null],
  [{ 'retry-after': 'Infinity' }, null],
  [{ 'retry-after': '9999999999999' }, 32 * 86_400_000],
  [{ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s', 'retry-after': '3' }, 360_000],
  [{ 'x-ratelimit-remaining-requests': '59', 'x-ratelimit-reset-requests': '6m0s', 'retry-after': '3' }, 3_000],
  [{ 'x-ratelimit-remaining-tokens': '-1', 'x-ratelimit-reset-tokens': '0' }, null],
  [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now + 7_000) }, 7_000],
  [
    {
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-11-20T12:00:13Z',
      'retry-after': '5',
    },
    13_000,
  ],
  // The provider's clock is an hour ahead of ours.
  [{ date: 'Fri, 20 Nov 2026 13:00:00 GMT', 'retry-after': 'Fri, 20 Nov 2026 13:00:30 GMT' }, 30_000],
] as const) {
  test(`${JSON.stringify(headers)} means a wait of ${waitMs} ms`, () => {
    assert.equal(deadlineOf(headers, now), waitMs === null ? null : now + waitMs);
  });
}
