import { type NanoUsd, type PicoUsdPerToken, parseUsd, parseUsdPerMillion } from '../money.ts';
import { type Place, quote, type Read } from './reader.ts';

/** Dollars as nano-USD, zero allowed. */
export function usd(value: unknown, at: Place): NanoUsd | undefined {
  if (typeof value !== 'string') return at.report(`${at.label} must be a quoted decimal string such as "5.00"`);
  const nano = parseUsd(value);
  if (nano !== null) return nano;
  return at.report(
    `${at.label} ${quote(value)} is not a decimal amount of dollars; write a quoted decimal string such as "5.00", at most 9 decimals`,
  );
}

/** Dollars as nano-USD, more than zero. */
export function positiveUsd(value: unknown, at: Place): NanoUsd | undefined {
  const nano = usd(value, at);
  return nano === 0 ? at.report(`${at.label} must be greater than 0`) : nano;
}

/** Dollars per million tokens as pico-USD per token. */
export const usdPerMillion: Read<PicoUsdPerToken> = usdPer('million tokens');

/** Dollars per thousand calls as nano-USD per call, which is the same factor. */
export const usdPerThousand: Read<NanoUsd> = usdPer('thousand calls');

function usdPer(many: string): Read<number> {
  return (value, at) => {
    if (typeof value !== 'string') return at.report(`${at.label} must be a quoted decimal string such as "0.75"`);
    const amount = parseUsdPerMillion(value);
    if (amount !== null) return amount;
    return at.report(`${at.label} ${quote(value)} is not a decimal amount of dollars per ${many} with at most 6 decimals, such as "0.75"`);
  };
}

/** A whole number from 1. */
export function count(value: unknown, at: Place): number | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  return at.report(`${at.label} must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, without quotes`);
}

const durationPattern = /^(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/;

/** Go's `90s`, `15m`, `24h`, `1h30m` in milliseconds; null if it is not a duration. */
function parseDuration(text: string): number | null {
  const match = durationPattern.exec(text);
  if (match === null || text === '') return null;
  const [hours, minutes, seconds] = [match[1], match[2], match[3]].map((digits) => Number(digits ?? 0));
  return ((hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
}

/** A duration in milliseconds, zero allowed. */
export function duration(value: unknown, at: Place): number | undefined {
  const given = typeof value === 'string' ? ` ${quote(value)} is not a duration; write hours, minutes, seconds` : ' must be a duration';
  const parsed = typeof value === 'string' ? parseDuration(value) : null;
  return parsed ?? at.report(`${at.label}${given} such as "90s", "15m", "24h" or "1h30m"`);
}

/** A duration in milliseconds, more than zero. */
export function positiveDuration(value: unknown, at: Place): number | undefined {
  const ms = duration(value, at);
  return ms === 0 ? at.report(`${at.label} must be longer than 0s`) : ms;
}

const instantPattern = /^(\d{4})-(\d\d)-(\d\d)T(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** RFC 3339 as milliseconds since the epoch. */
export function instant(value: unknown, at: Place): number | undefined {
  const match = typeof value === 'string' ? instantPattern.exec(value) : null;
  const ms = match === null ? Number.NaN : Date.parse(match[0]);
  // Date.parse takes 30 February for 2 March.
  const days = match === null ? 0 : new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate();
  if (match !== null && !Number.isNaN(ms) && Number(match[3]) <= days) return ms;
  return at.report(`${at.label} must be a date and time with its zone, such as "2026-12-01T00:00:00Z"`);
}

/** Names that are known to exist: there are about 600, and one look-up takes a millisecond. */
const foundZones = new Set<string>();

/** Name of an IANA time zone, as written. */
export function timeZone(value: unknown, at: Place): string | undefined {
  if (typeof value === 'string' && foundZones.has(value)) return value;
  if (typeof value === 'string' && /^[A-Za-z]/.test(value)) {
    try {
      new Intl.DateTimeFormat('en-US', { timeZone: value });
      // Intl accepts any letter case; the API server accepts only the database's own.
      const zone =
        ['UTC', 'Etc/UTC', ...Intl.supportedValuesOf('timeZone')].find((each) => each.toLowerCase() === value.toLowerCase()) ?? value;
      if (zone === value) {
        foundZones.add(value);
        return value;
      }
    } catch {
      // Intl throws a RangeError for a zone that it does not know.
    }
  }
  const given = typeof value === 'string' ? ` ${quote(value)} is not a known time zone; write` : ' must be';
  return at.report(`${at.label}${given} an IANA name such as "Etc/UTC" or "Europe/Berlin"`);
}
