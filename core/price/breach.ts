import type { NanoUsd } from '../money.ts';
import type { Demand } from './demand.ts';
import type { Feature, ModelPrice, Usage } from './types.ts';

/** A bill above its bound: what it teaches about its model in its pool. */
export interface Breach {
  /** Percent of the bound without what earlier bills taught, rounded up. */
  readonly percent: number;
  /** What the request used; `text` if nothing else. */
  readonly features: readonly Feature[];
  /** False if no call of this model can use so much. Such a bill widens nothing: its features are refused. */
  readonly possible: boolean;
}

interface Bill {
  readonly price: ModelPrice;
  /** What the bound relied on. */
  readonly demand: Demand;
  readonly boundNano: NanoUsd;
  readonly costNano: NanoUsd;
  /** Null: the provider reported none. */
  readonly usage: Usage | null;
}

interface Comparison {
  readonly billed: number;
  readonly bound: number;
}

/** Compares a bill with its bound, and counted input with what the count allows; null: neither is exceeded. Pure. */
export function breachOf({ price, demand, boundNano, costNano, usage }: Bill): Breach | null {
  const counted = countedInput(demand, usage);
  if (costNano <= boundNano && counted === null) return null;
  const features: readonly Feature[] = demand.features.length === 0 ? ['text'] : demand.features;
  const learned = Math.max(100, ...features.map((feature) => price.learned?.percent[feature] ?? 100));
  const comparisons = [{ billed: costNano, bound: boundNano }, ...(counted === null ? [] : [counted])];
  const excesses = comparisons.filter(({ billed, bound }) => billed > bound);
  const percents = excesses.map(({ billed, bound }) => Math.min(Math.ceil((billed * learned) / bound), Number.MAX_SAFE_INTEGER));
  if (percents.length === 0) return null;
  return { percent: Math.max(...percents), features, possible: usage === null || isPossible(price, demand, usage) };
}

function inputOf({ input, cachedInput, cacheWrite }: Usage): number {
  return input + cachedInput + cacheWrite;
}

/** Billed input and its count; null: it was not counted. Where the model reads the input again, the count says nothing about the sum. */
function countedInput({ features, inputReads, stored, textTokens }: Demand, usage: Usage | null): Comparison | null {
  if (usage === null || !features.includes('counted') || inputReads > 1 || stored !== undefined) return null;
  return { billed: inputOf(usage), bound: textTokens };
}

/** A limit of the model that is unknown excludes nothing. */
function isPossible({ contextTokens, maxOutputTokens }: ModelPrice, demand: Demand, usage: Usage): boolean {
  const { inputReads, choices, extraOutputTokens, summaries = 0 } = demand;
  if (contextTokens !== undefined && inputOf(usage) > contextTokens * inputReads) return false;
  return maxOutputTokens === undefined || usage.output <= maxOutputTokens * (choices + summaries) + extraOutputTokens;
}
