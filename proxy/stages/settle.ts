import type { RecordedBreach } from '../../core/audit/types.ts';
import { defined } from '../../core/json.ts';
import { MoneyOverflow, type NanoUsd } from '../../core/money.ts';
import { upperBound } from '../../core/price/bound.ts';
import { breachOf } from '../../core/price/breach.ts';
import { costOf } from '../../core/price/cost.ts';
import { type Demand, type Overhead, withCalls } from '../../core/price/demand.ts';
import type { ModelPrice, Usage } from '../../core/price/types.ts';
import type { Reading } from '../dialect/types.ts';
import type { Provider } from '../provider/types.ts';
import type { Admission } from './admit.ts';
import type { Reachable } from './send.ts';

/**
 * The facts about a call at its end.
 * - `free`: never sent, or definitely refused before content.
 * - `measured`: the answer is complete; its own usage counts.
 * - `streamed`: the provider ended its stream without naming usage, and all output passed in it: at most `outputTokens`.
 * - `unknown`: sent, but what the provider bills is unknown.
 */
export type CallEnd =
  | { readonly kind: 'free' | 'measured' | 'unknown'; readonly reading: Reading }
  | { readonly kind: 'streamed'; readonly reading: Reading; readonly outputTokens: number };

export interface Settlement {
  readonly costNano: NanoUsd;
  readonly usage: Usage | null;
  /** True if a bound is charged instead of a measured cost, or besides it: the reserved one, or that of what has streamed. */
  readonly estimated: boolean;
  /** The part of the cost that is the bound of an attempt that was sent again. */
  readonly lostNano?: NanoUsd;
}

/** Adds the bound of an attempt that was sent again; 0: there was none, or it cost nothing. */
export function withLost(settlement: Settlement, lostNano: NanoUsd): Settlement {
  return lostNano === 0 ? settlement : { ...settlement, costNano: settlement.costNano + lostNano, estimated: true, lostNano };
}

/**
 * The end as this provider bills it. An answer shows hosted sessions that are free too: only those count for which the request
 * has a fee. A provider that chooses its host names the price itself; the figure of any other server is not its bill.
 */
export function asBilled(end: CallEnd, demand: Demand, { choosesHost }: Pick<Provider, 'choosesHost'>): CallEnd {
  const { usage, namedCostNano } = end.reading;
  if (usage === null) return end;
  const { container, ...otherFees } = usage.fees ?? {};
  const isOpen = demand.openCalls?.fees.includes('container') === true;
  const isFreeSession = container !== undefined && !isOpen && (demand.fees.container === undefined || demand.fees.container === 0);
  const named = choosesHost === true ? defined({ namedCostNano }) : {};
  if (!isFreeSession && Object.keys(named).length === 0) return end;
  return { ...end, reading: { ...end.reading, usage: { ...usage, ...(isFreeSession ? { fees: otherFees } : {}), ...named } } };
}

/** Computes what a call costs. An interrupted or unmeasured call is charged at its bound, never less. Pure. */
export function settle(end: CallEnd, price: ModelPrice | null, boundNano: NanoUsd, boundOf: BoundOf = () => boundNano): Settlement {
  const { usage } = end.reading;
  if (end.kind === 'free') return { costNano: 0, usage: null, estimated: false };
  if (price === null) return { costNano: 0, usage, estimated: end.kind === 'unknown' || end.kind === 'streamed' };
  const measured = usage === null ? 0 : measuredCost(price, usage);
  const chargedNano = end.kind === 'streamed' ? Math.min(boundNano, boundOf(end.outputTokens)) : boundNano;
  // Usage so far may already exceed the reservation: that breach is charged in full.
  if (end.kind !== 'measured' || usage === null) return { costNano: Math.max(chargedNano, measured ?? 0), usage, estimated: true };
  return measured === null ? { costNano: boundNano, usage, estimated: true } : { costNano: measured, usage, estimated: false };
}

/** The bound of the call with its whole input and this much output. */
type BoundOf = (outputTokens: number) => NanoUsd;

/** The bound of a call that has ended; no less than all if there is none. */
export function boundOfOutput({ price, overhead }: Priced, demand: Demand): BoundOf {
  return (outputTokens) => {
    const bound = price === null ? null : upperBound(price, demand, overhead, outputTokens);
    return typeof bound === 'number' ? bound : Number.POSITIVE_INFINITY;
  };
}

interface Priced {
  readonly price: ModelPrice | null;
  readonly overhead: Overhead;
}

/** The measured cost; null if it is too large to count. */
function measuredCost(price: ModelPrice, usage: Usage): NanoUsd | null {
  try {
    return costOf(price, usage);
  } catch (error) {
    if (error instanceof MoneyOverflow) return null;
    throw error;
  }
}

/** Whether a capped key's bill is above its bound; undefined: it is not. Without a cap, the sent request keeps no bound. Pure. */
export function breachIn(
  { pool, price, upstreamModel }: Reachable,
  { facts, reservation, toolCalls }: Pick<Admission, 'facts' | 'reservation' | 'toolCalls'>,
  { costNano, usage }: Settlement,
): RecordedBreach | undefined {
  if (price === null || reservation === null) return undefined;
  const demand = withCalls(facts.demand, toolCalls ?? 0);
  const breach = breachOf({ price, demand, boundNano: reservation.amountNano, costNano, usage });
  return breach === null ? undefined : { pool: pool.pool, model: upstreamModel, ...breach };
}

/** The tokens that the per-minute rate counts: all input and output. A figure beyond the safe integers is ignored. */
export function tokensOf(usage: Usage | null): number {
  const tokens = usage === null ? 0 : usage.input + usage.cachedInput + usage.cacheWrite + usage.output;
  return Number.isSafeInteger(tokens) ? tokens : 0;
}
