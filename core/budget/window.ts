import type { WindowKind } from '../manifest/types.ts';

/** Half-open: it includes startMs and excludes endMs. Without an end it never ends. Milliseconds since the epoch. */
export interface Window {
  readonly startMs: number;
  readonly endMs?: number;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
/** No zone was ever further from UTC. */
const farthestMs = 16 * hourMs;
/** No zone ever changed twice within this time. */
const stepMs = 4 * hourMs;

// Memoised, because formatters and windows are slow to compute; no result changes. At most one entry a zone and kind.
const formatters = new Map<string, Intl.DateTimeFormat>();
const latest = new Map<string, Required<Window>>();

/**
 * The window of a kind that contains an instant. Days, weeks (from Monday, ISO 8601) and months begin when the zone's clock
 * first reaches or skips their midnight; a clock that is set back does not reopen an ended window. Hours begin with
 * the zone's clock hour, and again when a change of offset breaks one. Windows of one kind and zone follow each other without
 * gap or overlap. Throws RangeError for an unknown IANA zone.
 */
export function windowAt(kind: WindowKind | 'Minute', timeZone: string, nowMs: number): Window {
  if (kind === 'Total') return { startMs: 0 };
  if (kind === 'Minute') {
    const startMs = Math.floor(nowMs / minuteMs) * minuteMs;
    return { startMs, endMs: startMs + minuteMs };
  }
  const id = `${kind}|${timeZone}`;
  const known = latest.get(id);
  if (known !== undefined && known.startMs <= nowMs && nowMs < known.endMs) return known;
  const window = kind === 'Hour' ? hourAt(timeZone, nowMs) : calendarAt(kind, timeZone, nowMs);
  latest.set(id, window);
  return window;
}

function calendarAt(kind: 'Day' | 'Week' | 'Month', zone: string, nowMs: number): Required<Window> {
  const local = nowMs + offsetAt(zone, nowMs);
  let next = following(kind, beginning(kind, local));
  let startMs = firstReaching(zone, beginning(kind, local));
  let endMs = firstReaching(zone, next);
  // The zone's clock was set back over midnight: it shows yesterday again, but today has begun.
  while (endMs <= nowMs) {
    next = following(kind, next);
    startMs = endMs;
    endMs = firstReaching(zone, next);
  }
  return { startMs, endMs };
}

/** Start of the calendar unit on the zone's own clock, written as if that clock were UTC. */
function beginning(kind: 'Day' | 'Week' | 'Month', local: number): number {
  const day = Math.floor(local / dayMs);
  if (kind === 'Day') return day * dayMs;
  // 1970-01-01 was a Thursday.
  if (kind === 'Week') return (day - ((((day + 3) % 7) + 7) % 7)) * dayMs;
  const date = new Date(local);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

function following(kind: 'Day' | 'Week' | 'Month', local: number): number {
  if (kind === 'Day') return local + dayMs;
  if (kind === 'Week') return local + 7 * dayMs;
  const date = new Date(local);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

/** First instant at which the zone's clock shows `local` or later. */
function firstReaching(zone: string, local: number): number {
  let fromMs = local - farthestMs;
  for (;;) {
    const untilMs = fromMs + stepMs;
    const before = offsetAt(zone, fromMs);
    const changeMs = changeBetween(zone, fromMs, untilMs);
    if (local - before < (changeMs ?? untilMs)) return local - before;
    if (changeMs !== null && changeMs + offsetAt(zone, changeMs) >= local) return changeMs;
    fromMs = changeMs ?? untilMs;
  }
}

function hourAt(zone: string, nowMs: number): Required<Window> {
  const offset = offsetAt(zone, nowMs);
  const startMs = Math.floor((nowMs + offset) / hourMs) * hourMs - offset;
  const endMs = startMs + hourMs;
  return {
    startMs: sameGrid(offset, offsetAt(zone, startMs)) ? startMs : (changeBetween(zone, startMs, nowMs) ?? startMs),
    endMs: sameGrid(offset, offsetAt(zone, endMs - 1)) ? endMs : (changeBetween(zone, nowMs, endMs) ?? endMs),
  };
}

/** True if the hours of both offsets begin at the same instants. */
function sameGrid(a: number, b: number): boolean {
  return (a - b) % hourMs === 0;
}

/** The second from which a zone's offset differs, in (fromMs, untilMs]; null if both ends agree. */
function changeBetween(zone: string, fromMs: number, untilMs: number): number | null {
  const before = offsetAt(zone, fromMs);
  if (offsetAt(zone, untilMs) === before) return null;
  let low = Math.floor(fromMs / 1000);
  let high = Math.ceil(untilMs / 1000);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(zone, middle * 1000) === before) low = middle;
    else high = middle;
  }
  return high * 1000;
}

/** How far the zone's clock is ahead of UTC, in milliseconds. */
function offsetAt(zone: string, atMs: number): number {
  let formatter = formatters.get(zone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
    formatters.set(zone, formatter);
  }
  const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(formatter.format(atMs));
  if (match === null) throw new Error(`no offset for zone ${zone} in "${formatter.format(atMs)}"`);
  const seconds = Number(match[2] ?? 0) * 3600 + Number(match[3] ?? 0) * 60 + Number(match[4] ?? 0);
  return (match[1] === '-' ? -1000 : 1000) * seconds;
}
