import type { ConditionalPrice, ModelInfo, ModelPrice as SourcePrice } from '@pydantic/genai-prices';
import { defined } from '../../core/json.ts';
import { dearerRates } from '../../core/price/book.ts';
import type { Rates } from '../../core/price/types.ts';
import { pricesOf, type TokenPrice } from './rates.ts';

/** The price tables that may be in force on a day: one, or several if the hour decides. */
function inForce(prices: ModelInfo['prices'], atMs: number): readonly SourcePrice[] {
  if (!Array.isArray(prices)) return [prices];
  const started = prices.filter(({ constraint }) => constraint?.type !== 'start_date' || Date.parse(constraint.start_date) <= atMs);
  const byHour = (price: ConditionalPrice): boolean => price.constraint?.type === 'time_of_date';
  const last = started.findLast((price) => !byHour(price)) ?? prices[0];
  return [...(last === undefined ? [] : [last]), ...started.filter(byHour)].map((price) => price.prices);
}

/** The dearer of two price lists, class by class, so that no hour of the day costs more than was reserved. */
function dearer(a: TokenPrice, b: TokenPrice): TokenPrice {
  const at = (price: TokenPrice, above: number): Rates => price.tiers.findLast((tier) => tier.above <= above)?.rates ?? price.rates;
  const starts = [...new Set([...a.tiers, ...b.tiers].map((tier) => tier.above))].sort((x, y) => x - y);
  return {
    rates: dearerRates(a.rates, b.rates),
    tiers: starts.map((above) => ({ above, rates: dearerRates(at(a, above), at(b, above)) })),
    fees: defined({
      webSearch:
        a.fees.webSearch === undefined || b.fees.webSearch === undefined ? undefined : Math.max(a.fees.webSearch, b.fees.webSearch),
    }),
  };
}

/** The highest price of a model on the day of `atMs`, over all hours; null if a table that may apply cannot be priced by tokens. */
export function tokenPrice(model: Pick<ModelInfo, 'id' | 'prices'>, atMs: number): TokenPrice | null {
  const tables = inForce(model.prices, atMs).map((table) => pricesOf(model.id, table));
  return tables.reduce((a, b) => (a === null || b === null ? null : dearer(a, b)));
}
