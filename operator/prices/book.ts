import { defined } from '../../core/json.ts';
import type { BookEntry, Fee, ModelPrice, Rates } from '../../core/price/types.ts';
import type { Fact } from './facts/fact.ts';
import type { ListedModel } from './listed.ts';
import { classesAbove, nanoPerCall, ratesOf, type Table } from './rates.ts';
import { type PriceState, settle, type Wait } from './settle.ts';
import { sourcesOf, tableOfPrices } from './sources.ts';

/** What an operator remembers of a provider's models, by the book's id. */
export type BookState = Readonly<Record<string, PriceState>>;

/** A provider's prices at one time. */
export interface SettledBook {
  /** Prices in force by the book's id; null: not billed by tokens. */
  readonly tables: ReadonlyMap<string, Table | null>;
  readonly state: BookState;
  /** What waits for an acknowledgement, by the book's id. */
  readonly waits: ReadonlyMap<string, readonly Wait[]>;
}

/** Settles each model of a provider. Models that the sources no longer list stay remembered. */
export function settleBook(models: readonly ListedModel[], before: BookState, nowMs: number): SettledBook {
  const tables = new Map<string, Table | null>();
  const waits = new Map<string, readonly Wait[]>();
  const settled: Record<string, PriceState> = {};
  for (const model of models) {
    const { id, first } = model;
    // Two lists of a provider may name the same model; the first one matches.
    if (tables.has(id)) continue;
    if (first === null) {
      tables.set(id, null);
      continue;
    }
    const remembered = before[id] ?? null;
    const sources = sourcesOf({ ...model, first }, remembered?.inForce ?? {});
    const outcome = settle(remembered, sources, nowMs);
    settled[id] = outcome.state;
    tables.set(id, tableOfPrices(outcome.state.inForce, sources));
    if (outcome.waits.length > 0) waits.set(id, outcome.waits);
  }
  return { tables, state: { ...before, ...settled }, waits };
}

function percentOf(rates: Rates, percent: number): Rates {
  if (percent === 100) return rates;
  return Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, Math.ceil((rate * percent) / 100)])) as unknown as Rates;
}

function feesOf({ fees = {} }: Fact, percent: number): ModelPrice['fees'] {
  const entries = Object.entries(fees).map(([fee, dollars]) => [fee, Math.ceil((nanoPerCall(dollars) * percent) / 100)]);
  return Object.fromEntries(entries) as Partial<Record<Fee, number>>;
}

function priceOf(model: ListedModel, table: Table, isRegional: boolean): ModelPrice {
  const { id, fact, maxOutputTokens, contextTokens } = model;
  const percent = isRegional ? (fact.regionalPercent ?? 100) : 100;
  const ratesAbove = (above: number): Rates => percentOf(ratesOf(id, classesAbove(table, above), fact), percent);
  return {
    rates: ratesAbove(0),
    tiers: table.tiers.map(({ above }) => ({ above, rates: ratesAbove(above) })),
    fees: feesOf(fact, percent),
    percent: fact.percent ?? {},
    ...(fact.reasonsByDefault === true ? { reasonsByDefault: true } : {}),
    ...defined({ maxOutputTokens, contextTokens }),
  };
}

/** The price book of a provider's pools, at its regional hosts or at the others. */
export function bookOf(models: readonly ListedModel[], { tables }: SettledBook, isRegional: boolean): readonly BookEntry[] {
  return models.map((model) => {
    const table = tables.get(model.id) ?? null;
    return { id: model.id, match: model.match, price: table === null ? null : priceOf(model, table, isRegional) };
  });
}
