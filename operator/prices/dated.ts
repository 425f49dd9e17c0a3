import type { ConditionalPrice, ModelInfo, ModelPrice as SourcePrice } from '@pydantic/genai-prices';
import type { Rates } from '../../core/price/types.ts';
import { type Classes, classesAbove, type Table, tableOf } from './rates.ts';

/** The price lists that may be in force on a day: one, or several if the hour decides. */
function inForce(prices: ModelInfo['prices'], atMs: number): readonly SourcePrice[] {
  if (!Array.isArray(prices)) return [prices];
  const started = prices.filter(({ constraint }) => constraint?.type !== 'start_date' || Date.parse(constraint.start_date) <= atMs);
  const byHour = (price: ConditionalPrice): boolean => price.constraint?.type === 'time_of_date';
  const last = started.findLast((price) => !byHour(price)) ?? prices[0];
  return [...(last === undefined ? [] : [last]), ...started.filter(byHour)].map((price) => price.prices);
}

/** The dearer of each class. A class that only one of them names is unknown. */
function dearerClasses(a: Classes, b: Classes): Classes {
  const entries = Object.entries(a).flatMap(([name, rate]) => {
    const other = b[name as keyof Rates];
    return other === undefined ? [] : [[name, Math.max(rate, other)]];
  });
  return Object.fromEntries(entries);
}

function dearer(a: Table, b: Table): Table {
  const starts = [...new Set([...a.tiers, ...b.tiers].map((tier) => tier.above))].sort((x, y) => x - y);
  return {
    base: dearerClasses(a.base, b.base),
    tiers: starts.map((above) => ({ above, classes: dearerClasses(classesAbove(a, above), classesAbove(b, above)) })),
  };
}

/** The highest prices of a model on the day of `atMs`, over all hours; null if a list that may apply cannot be priced by tokens. */
export function tableOn(model: Pick<ModelInfo, 'id' | 'prices'>, atMs: number): Table | null {
  const tables = inForce(model.prices, atMs).map((list) => tableOf(model.id, list));
  return tables.reduce((a, b) => (a === null || b === null ? null : dearer(a, b)));
}
