/** Integer nano-USD (1e-9 USD). Safe integers only: 9.007 million USD at most. */
export type NanoUsd = number;

/** Integer pico-USD (1e-12 USD) per token: "$0.75 per million" is 750,000. */
export type PicoUsdPerToken = number;

/** An amount is beyond the safe integers. Code that catches this refuses the call. */
export class MoneyOverflow extends Error {
  override readonly name = 'MoneyOverflow';
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new MoneyOverflow(`money left the safe integers: ${value}`);
  return value;
}

/** Sum of amounts; throws MoneyOverflow. */
export function addMoney(a: NanoUsd, b: NanoUsd): NanoUsd {
  return safe(a + b);
}

/** The smallest of the limits that are set; undefined if none is set. */
export function minOf(limits: readonly (number | undefined)[]): number | undefined {
  return limits.reduce<number | undefined>(least, undefined);
}

/** The smaller limit of two that are set, or the one that is; undefined if neither is. */
export function least(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

/** tokens × rate in pico-USD; throws MoneyOverflow. */
export function picoCost(tokens: number, rate: PicoUsdPerToken): number {
  return safe(tokens * rate);
}

/** Pico-USD to nano-USD, rounded up: KeyForge never charges less than the provider. */
export function picoToNano(pico: number): NanoUsd {
  return Math.ceil(safe(pico) / 1000);
}

const decimalPattern = /^(0|[1-9]\d{0,8})(?:\.(\d{1,9}))?$/;

/** Parses a decimal string of dollars ("5", "0.50") into nano-USD; null if it is not one. At most 9 decimals. */
export function parseUsd(text: string): NanoUsd | null {
  const match = decimalPattern.exec(text);
  if (match === null) return null;
  const value = Number(match[1]) * 1e9 + Number((match[2] ?? '').padEnd(9, '0'));
  return Number.isSafeInteger(value) ? value : null;
}

/** Parses "dollars per million tokens" into pico-USD per token; null if it is not a decimal of at most 6 places. */
export function parseUsdPerMillion(text: string): PicoUsdPerToken | null {
  const nano = parseUsd(text);
  return nano === null || nano % 1000 !== 0 ? null : nano / 1000;
}

/** Exact decimal dollars, at least two places: 1_500_000_000 → "1.50"; never an exponent. */
export function formatUsd(nano: NanoUsd): string {
  const sign = nano < 0 ? '-' : '';
  const digits = Math.abs(nano).toString().padStart(10, '0');
  let end = digits.length;
  const least = end - 7;
  while (end > least && digits[end - 1] === '0') end -= 1;
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9, end)}`;
}
