import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { windowKinds } from '../manifest/types.ts';
import { windowAt } from './window.ts';

const zones = [
  'Etc/UTC',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Pyongyang',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Atlantic/Azores',
] as const;

function shown(kind: Parameters<typeof windowAt>[0], zone: string, at: string): readonly (string | undefined)[] {
  const window = windowAt(kind, zone, Date.parse(at));
  return [new Date(window.startMs).toISOString(), window.endMs === undefined ? undefined : new Date(window.endMs).toISOString()];
}

test('a window contains its instant and its neighbours touch it, in every zone and kind', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...windowKinds, 'Minute' as const),
      fc.constantFrom(...zones),
      fc.integer({ min: Date.UTC(1975, 0), max: Date.UTC(2037, 0) }),
      (kind, zone, nowMs) => {
        const { startMs, endMs } = windowAt(kind, zone, nowMs);
        assert.ok(startMs <= nowMs);
        if (endMs === undefined) return;
        assert.ok(nowMs < endMs);
        for (const inside of [startMs, Math.floor((startMs + endMs) / 2), endMs - 1]) {
          assert.deepEqual(windowAt(kind, zone, inside), { startMs, endMs });
        }
        assert.equal(windowAt(kind, zone, startMs - 1).endMs, startMs);
        assert.equal(windowAt(kind, zone, endMs).startMs, endMs);
      },
    ),
    { numRuns: 150 },
  );
});

test('no instant around a change of offset falls between windows or into two', () => {
  const changes = [
    ['America/Sao_Paulo', '2018-11-04T03:00:00Z'],
    ['America/St_Johns', '2006-10-29T02:31:00Z'],
    ['Africa/Cairo', '2023-04-27T22:00:00Z'],
    ['Africa/Cairo', '2010-09-30T21:00:00Z'],
    ['Australia/Lord_Howe', '2024-04-06T15:00:00Z'],
    ['Australia/Lord_Howe', '2024-10-05T15:30:00Z'],
    ['Pacific/Apia', '2011-12-30T10:00:00Z'],
    ['Asia/Pyongyang', '2015-08-14T15:00:00Z'],
  ] as const;
  for (const [zone, at] of changes) {
    for (const kind of ['Hour', 'Day', 'Week', 'Month'] as const) {
      let previous = windowAt(kind, zone, Date.parse(at) - 30 * 3_600_000);
      for (let now = Date.parse(at) - 30 * 3_600_000; now < Date.parse(at) + 30 * 3_600_000; now += 1_790_000) {
        const window = windowAt(kind, zone, now);
        assert.ok(window.startMs <= now && now < (window.endMs ?? 0), `${zone} ${kind} ${new Date(now).toISOString()}`);
        if (window.startMs !== previous.startMs) assert.equal(window.startMs, previous.endMs, `${zone} ${kind}`);
        previous = window;
      }
    }
  }
});

test('days have 23 and 25 hours where the clock changes', () => {
  assert.deepEqual(shown('Day', 'America/New_York', '2026-03-08T12:00:00Z'), ['2026-03-08T05:00:00.000Z', '2026-03-09T04:00:00.000Z']);
  assert.deepEqual(shown('Day', 'America/New_York', '2026-11-01T12:00:00Z'), ['2026-11-01T04:00:00.000Z', '2026-11-02T05:00:00.000Z']);
});

test('a zone that skips midnight starts its day at the skip', () => {
  assert.deepEqual(shown('Day', 'America/Sao_Paulo', '2018-11-04T12:00:00Z'), ['2018-11-04T03:00:00.000Z', '2018-11-05T02:00:00.000Z']);
  assert.deepEqual(shown('Day', 'Africa/Cairo', '2023-04-28T12:00:00Z'), ['2023-04-27T22:00:00.000Z', '2023-04-28T21:00:00.000Z']);
});

test('a clock set back over midnight does not reopen yesterday', () => {
  // Newfoundland went from 00:01 back to 23:01 of the day before.
  const today = ['2006-10-29T02:30:00.000Z', '2006-10-30T03:30:00.000Z'];
  assert.deepEqual(shown('Day', 'America/St_Johns', '2006-10-29T02:30:30Z'), today);
  assert.deepEqual(shown('Day', 'America/St_Johns', '2006-10-29T02:45:00Z'), today);
  assert.deepEqual(shown('Day', 'America/St_Johns', '2006-10-29T02:29:59Z')[1], today[0]);
});

test('a date that a zone left out has no window', () => {
  assert.deepEqual(shown('Day', 'Pacific/Apia', '2011-12-30T09:59:59Z'), ['2011-12-29T10:00:00.000Z', '2011-12-30T10:00:00.000Z']);
  assert.deepEqual(shown('Day', 'Pacific/Apia', '2011-12-30T10:00:00Z'), ['2011-12-30T10:00:00.000Z', '2011-12-31T10:00:00.000Z']);
});

test('weeks start on Monday and months on the first, on the zone’s own clock', () => {
  assert.deepEqual(shown('Week', 'Etc/UTC', '2026-11-22T23:59:59.999Z'), ['2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z']);
  assert.deepEqual(shown('Week', 'Etc/UTC', '1969-12-31T00:00:00Z'), ['1969-12-29T00:00:00.000Z', '1970-01-05T00:00:00.000Z']);
  assert.deepEqual(shown('Month', 'Asia/Kolkata', '2026-12-31T18:30:00Z'), ['2026-12-31T18:30:00.000Z', '2027-01-31T18:30:00.000Z']);
  assert.deepEqual(shown('Month', 'Etc/UTC', '2024-02-29T12:00:00Z'), ['2024-02-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z']);
});

test('hours follow the clock of half-hour and quarter-hour zones', () => {
  assert.deepEqual(shown('Hour', 'Asia/Kolkata', '2026-01-01T10:29:00Z'), ['2026-01-01T09:30:00.000Z', '2026-01-01T10:30:00.000Z']);
  assert.deepEqual(shown('Hour', 'Asia/Kathmandu', '2026-01-01T10:29:00Z'), ['2026-01-01T10:15:00.000Z', '2026-01-01T11:15:00.000Z']);
});

test('the hour that repeats when clocks go back is two windows of one hour', () => {
  assert.deepEqual(shown('Hour', 'America/New_York', '2026-11-01T05:30:00Z'), ['2026-11-01T05:00:00.000Z', '2026-11-01T06:00:00.000Z']);
  assert.deepEqual(shown('Hour', 'America/New_York', '2026-11-01T06:30:00Z'), ['2026-11-01T06:00:00.000Z', '2026-11-01T07:00:00.000Z']);
});

test('Total starts at the epoch and never ends, Minute is the UTC minute', () => {
  assert.deepEqual(windowAt('Total', 'Etc/UTC', 1e12), { startMs: 0 });
  assert.deepEqual(windowAt('Minute', 'Asia/Kathmandu', 61_001), { startMs: 60_000, endMs: 120_000 });
});

test('an unknown zone is an error', () => {
  assert.throws(() => windowAt('Day', 'Mars/Olympus', 0), RangeError);
});
