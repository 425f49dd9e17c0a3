import { formatUsd, type NanoUsd } from '../money.ts';
import type { GrantDenial } from '../protocol/money.ts';
import type { Books } from './books.ts';
import type { Ceiling } from './ceiling.ts';
import { leftOf } from './grant.ts';

/** A ceiling under which the ask does not fit, and the least that would have served. */
export interface Obstacle {
  readonly ceiling: Ceiling;
  readonly least: number;
}

/** Which reason is told where several stand in the way: the one that stays longest. */
const precedence = ['request_too_expensive', 'budget_exhausted', 'quota_exhausted', 'rate_limited', 'budget_reserved'] as const;
type Code = (typeof precedence)[number];

/** Waiting for calls in flight to settle. */
const reservedRetrySeconds = 1;

/**
 * Words a "no". `heldNano` is what the asker has free already: together with `least` the whole of what it needs.
 * A cap that outstanding grants fill is `budget_reserved`; one that is truly spent, or smaller than the call, is final.
 */
export function deny(books: Books, obstacles: readonly Obstacle[], heldNano: NanoUsd, availableNano: NanoUsd, nowMs: number): GrantDenial {
  const reasons = obstacles.map((obstacle) => ({ ...obstacle, code: classify(books, obstacle, heldNano) }));
  reasons.sort((a, b) => precedence.indexOf(a.code) - precedence.indexOf(b.code) || endOf(b) - endOf(a));
  const [worst] = reasons;
  if (worst === undefined) throw new Error('a denial without a reason');
  const { code, ceiling } = worst;
  const retryAfterSeconds = retryAfter(worst, code, nowMs);
  return {
    code,
    limitedBy: `${ceiling.key} ${ceiling.window}`,
    message: message(worst, code, heldNano, retryAfterSeconds),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    availableNano,
  };
}

function endOf({ ceiling }: Obstacle): number {
  return ceiling.endMs ?? Number.MAX_SAFE_INTEGER;
}

function classify(books: Books, { ceiling, least }: Obstacle, heldNano: NanoUsd): Code {
  if (ceiling.window === 'Minute') return 'rate_limited';
  const needed = ceiling.dimension === 'nano' ? least + heldNano : least;
  if (ceiling.dimension === 'nano' && needed > ceiling.cap) return 'request_too_expensive';
  // What open grants have not settled may come back; what they have is spent.
  const returning = books.holders(ceiling.accountId).reduce((sum, grant) => sum + leftOf(grant)[ceiling.dimension], 0);
  if (ceiling.free + returning >= needed) return 'budget_reserved';
  return ceiling.dimension === 'nano' ? 'budget_exhausted' : 'quota_exhausted';
}

function retryAfter({ ceiling, least }: Obstacle, code: Code, nowMs: number): number | undefined {
  if (code === 'request_too_expensive') return undefined;
  if (code === 'budget_reserved') return reservedRetrySeconds;
  if (ceiling.endMs === undefined) return undefined;
  const seconds = Math.max(1, Math.ceil((ceiling.endMs - nowMs) / 1000));
  if (code !== 'rate_limited' || ceiling.cap <= 0 || ceiling.dimension !== 'tokens') return seconds;
  // Each minute takes one rate off the debt.
  const minutes = Math.max(1, Math.ceil((least - ceiling.free) / ceiling.cap));
  return seconds + 60 * (minutes - 1);
}

function message({ ceiling, least }: Obstacle, code: Code, heldNano: NanoUsd, seconds: number | undefined): string {
  const whose = `the ${ceiling.window} budget of ${ceiling.key}`;
  const when = ceiling.endMs === undefined ? 'have the limit raised' : `wait until ${new Date(ceiling.endMs).toISOString()}`;
  switch (code) {
    case 'request_too_expensive':
      return `this call could cost $${formatUsd(least + heldNano)}, more than ${whose} ($${formatUsd(ceiling.cap)}): lower its output limit, or have the budget raised`;
    case 'budget_exhausted':
      return `${whose} ($${formatUsd(ceiling.cap)}) has too little left for a call that needs $${formatUsd(least + heldNano)}: lower its output limit, or ${when}`;
    case 'quota_exhausted':
      return `${ceiling.key} has used its ${ceiling.cap} requests of this ${ceiling.window}: ${when}`;
    case 'rate_limited':
      return `${ceiling.key} has reached its ${ceiling.cap} ${ceiling.dimension} a minute: retry in ${seconds ?? 60} s`;
    case 'budget_reserved':
      return `what is left of ${ceiling.dimension === 'nano' ? whose : `the ${ceiling.window} requests of ${ceiling.key}`} is held for calls in flight: retry in ${seconds ?? 1} s`;
  }
}
