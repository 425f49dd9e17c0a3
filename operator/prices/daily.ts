import type { ProviderKind } from '../../core/manifest/types.ts';
import type { BookEntry } from '../../core/price/types.ts';
import { bookOf } from './genai-prices.ts';

/** Price books, compiled once a day each: prices change on announced dates. */
export function dailyBooks(): (provider: ProviderKind) => readonly BookEntry[] {
  const books = new Map<ProviderKind, { readonly day: number; readonly book: readonly BookEntry[] }>();
  return (provider) => {
    const day = Math.floor(Date.now() / 86_400_000);
    const known = books.get(provider);
    if (known?.day === day) return known.book;
    const book = bookOf(provider, Date.now());
    books.set(provider, { day, book });
    return book;
  };
}
