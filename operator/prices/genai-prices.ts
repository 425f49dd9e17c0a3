import { findProvider, type MatchLogic, type ModelInfo } from '@pydantic/genai-prices';
import { defined } from '../../core/json.ts';
import { type ProviderKind, providers } from '../../core/manifest/providers.ts';
import type { BookEntry, ModelMatch, ModelPrice } from '../../core/price/types.ts';
import { tokenPrice } from './in-force.ts';
import { type Sizes, sizesByEntry } from './max-output.ts';

function matchOf(logic: MatchLogic): ModelMatch {
  if ('or' in logic) return { or: logic.or.map(matchOf) };
  if ('and' in logic) return { and: logic.and.map(matchOf) };
  if ('starts_with' in logic) return { startsWith: logic.starts_with };
  if ('ends_with' in logic) return { endsWith: logic.ends_with };
  return logic;
}

function priceOf(model: ModelInfo, sizes: Sizes | undefined, atMs: number): ModelPrice | null {
  const price = tokenPrice(model, atMs);
  if (price === null) return null;
  const contextTokens = Math.max(model.context_window ?? 0, sizes?.contextTokens ?? 0);
  return {
    ...price,
    percent: {},
    ...defined({ maxOutputTokens: sizes?.maxOutputTokens, contextTokens: contextTokens === 0 ? undefined : contextTokens }),
  };
}

/** Gives models without a web search price the dearest price of the others. */
function withSearchPrice(book: readonly BookEntry[]): readonly BookEntry[] {
  const named = book.flatMap(({ price }) => price?.fees.webSearch ?? []);
  if (named.length === 0) return book;
  const webSearch = Math.max(...named);
  return book.map((entry) =>
    entry.price === null ? entry : { ...entry, price: { ...entry.price, fees: { webSearch, ...entry.price.fees } } },
  );
}

/**
 * Compiles the built-in price book of a provider, with the prices in force at `atMs`; empty if there is none. It takes
 * milliseconds. Repeat it when documents are compiled, and at least daily, because prices change on announced dates.
 */
export function bookOf(provider: ProviderKind, atMs: number): readonly BookEntry[] {
  const source = providers[provider].prices;
  if (source === null) return [];
  const { vendors, except, searchesAlike } = source;
  const listed = source.providers.flatMap((providerId) => findProvider({ providerId })?.models ?? []);
  const models = except === undefined ? listed : listed.filter(({ id }) => !id.startsWith(except));
  const entries = models.map((model) => ({ model, id: model.id, match: matchOf(model.match) }));
  const sizes = sizesByEntry(entries, vendors);
  const book = entries.map(({ model, id, match }) => ({ id, match, price: priceOf(model, sizes.get(id), atMs) }));
  return searchesAlike === true ? withSearchPrice(book) : book;
}

/** Price books, each compiled once a day, because prices change on announced dates. */
export function dailyBooks(): (provider: ProviderKind) => readonly BookEntry[] {
  const books = new Map<ProviderKind, { readonly day: number; readonly book: readonly BookEntry[] }>();
  return (provider) => {
    const nowMs = Date.now();
    const day = Math.floor(nowMs / 86_400_000);
    const known = books.get(provider);
    if (known?.day === day) return known.book;
    const book = bookOf(provider, nowMs);
    books.set(provider, { day, book });
    return book;
  };
}
