import type { IncomingHttpHeaders } from 'node:http';

const second = 1000;
const maxWaitMs = 32 * 24 * 3600 * second;

/** Cooldown if a provider names no deadline: long enough to spare the provider, short enough that nobody notices. */
export const unknownCooldownMs: number = 5 * second;

/**
 * The latest retry time in any header (milliseconds since the epoch); null if there is none. It reads `retry-after-ms`,
 * `retry-after` (seconds or HTTP date, RFC 9110 10.2.3), and the reset of each exhausted limit (`x-ratelimit-reset-*`
 * durations, `anthropic-ratelimit-*-reset` RFC 3339). It ignores Azure's -1 and 0. At most 32 days ahead.
 */
export function deadlineOf(headers: IncomingHttpHeaders, nowMs: number): number | null {
  const date = Date.parse(headers.date ?? '');
  const theirNowMs = Number.isNaN(date) ? nowMs : date;
  let waitMs = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(',') : value;
    if (name === 'retry-after-ms') waitMs = later(waitMs, Number(text));
    else if (name === 'retry-after') waitMs = later(waitMs, waitOf(text, theirNowMs));
    else if (isUsedUp(name, headers)) waitMs = later(waitMs, waitOf(text, theirNowMs));
  }
  return waitMs === 0 ? null : nowMs + waitMs;
}

/** Parses a duration such as `12ms`, `6m0s`, `1h2m3.5s`, `48.9s` into milliseconds; NaN if it is not one. */
export function parseDuration(text: string): number {
  const match = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/.exec(text.trim());
  if (match === null || match[0] === '') return Number.NaN;
  const [days, hours, minutes, seconds, milliseconds] = match.slice(1).map((part) => Number(part ?? 0));
  const wholeMinutes = ((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0);
  return wholeMinutes * 60 * second + (seconds ?? 0) * second + (milliseconds ?? 0);
}

function later(aMs: number, bMs: number): number {
  return bMs > aMs ? Math.min(Math.ceil(bMs), maxWaitMs) : aMs;
}

/** True if a limit is exhausted. Only then does its reset count: other resets say when an allowance is full again. */
function isUsedUp(name: string, headers: IncomingHttpHeaders): boolean {
  const remaining = name.startsWith('x-ratelimit-reset')
    ? name.replace('-reset', '-remaining')
    : name.startsWith('anthropic-ratelimit-') && name.endsWith('-reset')
      ? name.replace(/-reset$/, '-remaining')
      : null;
  return remaining !== null && headers[remaining] === '0';
}

/** Converts seconds, an epoch (seconds or milliseconds), a duration or a date to a wait in milliseconds. */
function waitOf(text: string, theirNowMs: number): number {
  if (/^-?\d+(\.\d+)?$/.test(text.trim())) {
    const number = Number(text);
    if (number > 1e12) return number - theirNowMs;
    return number > 1e9 ? number * second - theirNowMs : number * second;
  }
  const duration = parseDuration(text);
  return Number.isNaN(duration) ? Date.parse(text) - theirNowMs : duration;
}
