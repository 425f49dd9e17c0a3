import { addMoney, type NanoUsd, picoCost } from '../money.ts';
import type { Demand } from './demand.ts';
import type { Fee, FeeCounts, ModelPrice } from './types.ts';

const names: Readonly<Record<Fee, string>> = {
  request: 'requests',
  webSearch: 'web searches',
  webSearchPreview: 'web searches',
  groundedPrompt: 'grounded prompts',
  mapsPrompt: 'prompts grounded by maps',
  fileSearch: 'file searches',
  container: 'hosted containers',
};

/** Gemini bills grounding by the prompt or by the search; the price names the one that applies. */
function applies(price: ModelPrice, fee: Fee, counts: Demand['fees']): boolean {
  if (fee !== 'webSearch' && fee !== 'groundedPrompt') return true;
  if (counts.webSearch === undefined || counts.groundedPrompt === undefined) return true;
  return fee === 'groundedPrompt' ? price.fees.groundedPrompt !== undefined : price.fees.groundedPrompt === undefined;
}

function entriesOf(counts: Demand['fees']): readonly (readonly [Fee, number | null])[] {
  return Object.entries(counts) as [Fee, number | null][];
}

/** Nano-USD of these fees and of the request itself, or why they have no bound. Throws MoneyOverflow. */
export function feesOf(price: ModelPrice, counts: Demand['fees']): NanoUsd | string {
  let nano = price.fees.request ?? 0;
  for (const [fee, count] of entriesOf(counts)) {
    if (count === 0 || !applies(price, fee, counts)) continue;
    const each = price.fees[fee];
    if (each === undefined) return `the price of ${names[fee]} is unknown for this model`;
    if (count === null && each > 0) return `the request sets no limit on ${names[fee]}`;
    nano = addMoney(nano, picoCost(count ?? 0, each));
  }
  return nano;
}

/** Nano-USD of the fees that an answer names. A fee without a price costs nothing here, because a capped key may not use it. Throws MoneyOverflow. */
export function billedFees(price: ModelPrice, counts: FeeCounts): NanoUsd {
  return entriesOf(counts)
    .filter(([fee]) => applies(price, fee, counts))
    .reduce(
      (sum, [fee, count]) => addMoney(sum, picoCost(Math.max(0, Math.ceil(count ?? 0)), price.fees[fee] ?? 0)),
      price.fees.request ?? 0,
    );
}
