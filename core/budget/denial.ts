import { defined } from '../json.ts';
import { formatUsd, type NanoUsd } from '../money.ts';
import type { KeyName, StreamId } from '../names.ts';
import type { GrantDenial } from '../protocol/money.ts';
import type { AccountRef } from './account.ts';
import type { AccountLimit } from './account-limit.ts';
import { leftOf } from './grant.ts';
import type { Ledger } from './ledger.ts';

/** A denial of the ledger; `wireDenial` makes the message of the control port from it. */
export interface Denial extends Omit<GrantDenial, 'limitedBy'> {
  /** The account that has too little; the key or stream itself if no account is the reason. */
  readonly limitedBy: AccountRef | KeyName | StreamId;
  /** The limits that are short; none if no account is the reason. */
  readonly short: readonly AccountLimit[];
}

/** A denial as a message of the control port, which names the account as entries do: `agents/bot Day`. */
export function wireDenial({ short: _, limitedBy, ...rest }: Denial): GrantDenial {
  return { ...rest, limitedBy: typeof limitedBy === 'string' ? limitedBy : `${limitedBy.key} ${limitedBy.window}` };
}

/** A limit that the request exceeds, and the smallest amount that the request could use. */
export interface Shortfall {
  readonly limit: AccountLimit;
  readonly min: number;
}

/** If several limits are short, the code that lasts longest wins. */
const precedence = ['request_too_expensive', 'budget_exhausted', 'quota_exhausted', 'rate_limited', 'budget_reserved'] as const;
type Code = (typeof precedence)[number];

/** The time for calls in flight to settle. */
const reservedRetrySeconds = 1;

/** Why a request is denied. */
interface DenialCase {
  readonly ledger: Ledger;
  /** At least one. */
  readonly shortfalls: readonly Shortfall[];
  /** All limits of money on the path. */
  readonly money: readonly AccountLimit[];
  /** What the requesting proxy already has free; with `min`, all that it needs. */
  readonly heldNano: NanoUsd;
  readonly availableNano: NanoUsd;
  readonly nowMs: number;
}

/**
 * Makes a denial from the limits that are short. A cap that outstanding grants fill gives `budget_reserved`; a cap that is
 * spent, or smaller than the call, is final.
 */
export function deny({ ledger, shortfalls, money, heldNano, availableNano, nowMs }: DenialCase): Denial {
  const coded = shortfalls.map((shortfall) => ({ ...shortfall, code: codeOf(ledger, shortfall, heldNano) }));
  coded.sort((a, b) => precedence.indexOf(a.code) - precedence.indexOf(b.code) || endOf(b) - endOf(a));
  const [worst] = coded;
  if (worst === undefined) throw new Error('a denial without a reason');
  const { code, limit } = worst;
  const retryAfterSeconds = retryAfter(worst, code, nowMs);
  return {
    code,
    limitedBy: limit.of,
    short: shortfalls.map((shortfall) => shortfall.limit),
    message: message(worst, code, heldNano, retryAfterSeconds),
    ...defined({ retryAfterSeconds }),
    availableNano,
    ...(limit.dimension === 'nano' ? { potentialNano: potentialOf(ledger, money) } : {}),
  };
}

function endOf({ limit }: Shortfall): number {
  return limit.endMs ?? Number.MAX_SAFE_INTEGER;
}

/** What limits may come to have: what open grants have not settled may be released; what they have settled is spent. */
export function potentialOf(ledger: Ledger, limits: readonly AccountLimit[]): number {
  return limits.reduce((least, { dimension, free, accountId }) => {
    const returning = ledger.holders(accountId).reduce((sum, grant) => sum + leftOf(grant)[dimension], 0);
    return Math.min(least, free + returning);
  }, Number.MAX_SAFE_INTEGER);
}

function codeOf(ledger: Ledger, { limit, min }: Shortfall, heldNano: NanoUsd): Code {
  const { dimension, cap } = limit;
  if (limit.of.window === 'Minute') return 'rate_limited';
  const needed = dimension === 'nano' ? min + heldNano : min;
  const potential = potentialOf(ledger, [limit]);
  if (dimension === 'nano' && potential <= 0) return 'budget_exhausted';
  if (dimension === 'nano' && needed > cap) return 'request_too_expensive';
  if (potential >= needed) return 'budget_reserved';
  return dimension === 'nano' ? 'budget_exhausted' : 'quota_exhausted';
}

function retryAfter({ limit, min }: Shortfall, code: Code, nowMs: number): number | undefined {
  const { dimension, cap, free, endMs } = limit;
  if (code === 'request_too_expensive') return undefined;
  if (code === 'budget_reserved') return reservedRetrySeconds;
  if (endMs === undefined) return undefined;
  const seconds = Math.max(1, Math.ceil((endMs - nowMs) / 1000));
  if (code !== 'rate_limited' || cap <= 0 || dimension !== 'tokens') return seconds;
  // Each minute reduces the debt by one rate.
  const minutes = Math.max(1, Math.ceil((min - free) / cap));
  return seconds + 60 * (minutes - 1);
}

function message({ limit, min }: Shortfall, code: Code, heldNano: NanoUsd, seconds: number | undefined): string {
  const { dimension, cap, endMs } = limit;
  const { key, window } = limit.of;
  const whose = `the ${window} budget of ${key}`;
  const when = endMs === undefined ? 'have the limit raised' : `wait until ${new Date(endMs).toISOString()}`;
  switch (code) {
    case 'request_too_expensive':
      return `this call could cost $${formatUsd(min + heldNano)}, more than ${whose} ($${formatUsd(cap)}): lower its output limit, or have the budget raised`;
    case 'budget_exhausted':
      return `${whose} ($${formatUsd(cap)}) has too little left for a call that needs $${formatUsd(min + heldNano)}: lower its output limit, or ${when}`;
    case 'quota_exhausted':
      return `${key} has used all ${cap} requests of this ${window}: ${when}`;
    case 'rate_limited':
      return `${key} has reached its limit of ${cap} ${dimension} a minute: retry in ${seconds ?? 60} s`;
    case 'budget_reserved':
      return `calls in flight hold the rest of ${dimension === 'nano' ? whose : `the ${window} requests of ${key}`}: retry in ${seconds ?? 1} s`;
  }
}
