import { MoneyOverflow, type NanoUsd } from '../../core/money.ts';
import { costOf } from '../../core/price/cost.ts';
import type { ModelPrice, Usage } from '../../core/price/types.ts';
import type { Reading } from '../dialect/types.ts';

/** What is known of a call when it is over. */
export interface CallEnd {
  /**
   * - `free`: never sent, or definitely refused before content.
   * - `measured`: the answer is whole; its own usage counts.
   * - `unknown`: sent, and nobody knows what the provider bills.
   */
  readonly kind: 'free' | 'measured' | 'unknown';
  readonly reading: Reading;
}

export interface Settlement {
  readonly costNano: NanoUsd;
  readonly usage: Usage | null;
  /** True where the reserved bound is charged in place of a measured cost. */
  readonly estimated: boolean;
}

/** What a call costs. Pure. An interrupted or unmeasured call is charged at its bound: never free, never less than it could be. */
export function settle(end: CallEnd, price: ModelPrice | null, boundNano: NanoUsd): Settlement {
  const { usage } = end.reading;
  if (end.kind === 'free') return { costNano: 0, usage: null, estimated: false };
  if (price === null) return { costNano: 0, usage, estimated: end.kind === 'unknown' };
  const measured = usage === null ? 0 : measuredCost(price, usage);
  // What was seen before the break may already be more than was reserved: a breach is charged in full.
  if (end.kind === 'unknown' || usage === null) return { costNano: Math.max(boundNano, measured ?? 0), usage, estimated: true };
  return measured === null ? { costNano: boundNano, usage, estimated: true } : { costNano: measured, usage, estimated: false };
}

/** Null: beyond any amount that can be counted. */
function measuredCost(price: ModelPrice, usage: Usage): NanoUsd | null {
  try {
    return costOf(price, usage);
  } catch (error) {
    if (error instanceof MoneyOverflow) return null;
    throw error;
  }
}

/** What the per-minute rate counts: every token in and out. A figure beyond the safe integers says nothing. */
export function tokensOf(usage: Usage | null): number {
  const tokens = usage === null ? 0 : usage.input + usage.cachedInput + usage.cacheWrite + usage.output;
  return Number.isSafeInteger(tokens) ? tokens : 0;
}
