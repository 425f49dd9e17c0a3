import { defined } from '../json.ts';
import type { PoolModel, PoolModelPrice } from '../manifest/types.ts';
import type { PoolDocument } from '../policy/documents.ts';
import { compileMatch, type Matcher } from './match.ts';
import type { BookEntry, ModelPrice, Rates } from './types.ts';

/** The parts of a pool document that decide prices. */
export type PricedPool = Pick<PoolDocument, 'models' | 'book'>;

/** The model that a pool finds for a model string. */
export interface FoundModel {
  /** What the provider calls it. */
  readonly upstreamName: string;
  readonly price: ModelPrice;
  /** The book's name of the model; of a dated snapshot, that of its base model. Absent if the book does not know it. */
  readonly bookId?: string;
}

interface Index {
  readonly own: ReadonlyMap<string, PoolModel>;
  readonly book: readonly { readonly matches: Matcher; readonly entry: BookEntry }[];
  readonly found: Map<string, FoundModel | null>;
  names?: readonly string[];
}

// An agent may send any number of names: longer names have no price, and the cache is bounded.
const maxNameLength = 256;
const maxRemembered = 1024;

// Memoised for as long as a pool document lives; changes no result.
const indexes = new WeakMap<PricedPool, Index>();

function indexOf(pool: PricedPool): Index {
  const known = indexes.get(pool);
  if (known !== undefined) return known;
  const index: Index = {
    own: new Map(pool.models.map((model) => [model.name, model])),
    book: pool.book.map((entry) => ({ matches: compileMatch(entry.match), entry })),
    found: new Map(),
  };
  indexes.set(pool, index);
  return index;
}

/** `-20250514` as `-2025-05-14`: providers write dated snapshots either way. */
function dashedDate(name: string): string {
  return name.replace(/-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)/g, '-$1-$2-$3');
}

function bookEntry(index: Index, name: string): BookEntry | null {
  const lowerCased = name.toLowerCase();
  for (const spelling of new Set([lowerCased, dashedDate(lowerCased)])) {
    const line = index.book.find(({ matches }) => matches(spelling));
    if (line !== undefined) return line.entry;
  }
  return null;
}

/** If a book rate equals its base rate, it follows the new base; otherwise it stays. */
function follow(rate: number, base: number, newBase: number): number {
  return rate === base ? newBase : rate;
}

function overrideRates(price: PoolModelPrice, book: Rates): Rates {
  const cacheWrite = price.cacheWrite ?? Math.max(follow(book.cacheWrite, book.input, price.input), price.input);
  const cachedInput = price.cachedInput ?? follow(book.cachedInput, book.input, price.input);
  return {
    input: price.input,
    cachedInput,
    cacheWrite,
    cacheWrite1h: Math.max(book.cacheWrite1h, cacheWrite),
    output: price.output,
    reasoning: price.reasoning ?? follow(book.reasoning, book.output, price.output),
    inputAudio: follow(book.inputAudio, book.input, price.input),
    cachedInputAudio: follow(book.cachedInputAudio, book.cachedInput, cachedInput),
    inputImage: follow(book.inputImage, book.input, price.input),
    outputAudio: follow(book.outputAudio, book.output, price.output),
    outputImage: follow(book.outputImage, book.output, price.output),
  };
}

/** Rates of a model that the book does not know. A missing rate is the highest of any provider, relative to input. */
function unlistedRates(price: PoolModelPrice): Rates {
  const cacheWrite = price.cacheWrite ?? Math.ceil(price.input * 1.25);
  const cachedInput = price.cachedInput ?? price.input;
  return {
    input: price.input,
    cachedInput,
    cacheWrite,
    cacheWrite1h: Math.max(cacheWrite, price.input * 2),
    output: price.output,
    reasoning: price.reasoning ?? price.output,
    inputAudio: price.input,
    cachedInputAudio: cachedInput,
    inputImage: price.input,
    outputAudio: price.output,
    outputImage: price.output,
  };
}

/** The dearer of two tables, class by class. */
export function dearerRates(a: Rates, b: Rates): Rates {
  const entries = Object.entries(a).map(([name, rate]) => [name, Math.max(rate, b[name as keyof Rates])]);
  return Object.fromEntries(entries) as Rates;
}

function ownPrice(model: PoolModel, book: ModelPrice | null): ModelPrice | null {
  const limit = defined({ maxOutputTokens: model.maxOutputTokens });
  if (model.price === undefined) return book === null ? null : { ...book, ...limit };
  if (book === null) return { rates: unlistedRates(model.price), tiers: [], ...limit };
  const rates = overrideRates(model.price, book.rates);
  // If the pool names no long-context tier, the book's tiers apply, never below the pool's own rates.
  const tiers = book.tiers.map((tier) => ({ above: tier.above, rates: dearerRates(tier.rates, rates) }));
  return { ...book, rates, tiers, ...limit };
}

function resolve(index: Index, model: string): FoundModel | null {
  const own = index.own.get(model);
  const upstreamName = own?.upstreamName ?? model;
  const entry = bookEntry(index, upstreamName);
  const book = entry?.price ?? null;
  const price = own === undefined ? book : ownPrice(own, book);
  return price === null ? null : { upstreamName, price, ...defined({ bookId: entry?.id }) };
}

/**
 * Finds a model string in a pool: first in its own models, by exact name, then in the book. Null if neither has a price.
 * Results are cached per pool document, so that a repeated name costs a map look-up.
 */
export function findModel(pool: PricedPool, model: string): FoundModel | null {
  if (model.length > maxNameLength) return null;
  const index = indexOf(pool);
  const known = index.found.get(model);
  if (known !== undefined) return known;
  const found = resolve(index, model);
  if (index.found.size >= maxRemembered) index.found.clear();
  index.found.set(model, found);
  return found;
}

/** Concrete names for listings, each once: the pool's own models, then the book's ids that can be called by that name. */
export function modelNames(pool: PricedPool): readonly string[] {
  const index = indexOf(pool);
  index.names ??= [...new Set([...pool.models.map((model) => model.name), ...pool.book.map((entry) => entry.id)])].filter(
    (name) => resolve(index, name) !== null,
  );
  return index.names;
}
