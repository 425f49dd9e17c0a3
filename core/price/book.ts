import { defined } from '../json.ts';
import type { PoolModel, PoolModelPrice } from '../manifest/types.ts';
import type { PoolDocument } from '../policy/documents.ts';
import { compileMatch, type Matcher } from './match.ts';
import type { BookEntry, ModelPrice, Rates } from './types.ts';

/** The parts of a pool document that decide prices. */
export type PricedPool = Pick<PoolDocument, 'models' | 'book' | 'learned'>;

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

function followIfKnown(rate: number | undefined, base: number, newBase: number): number | undefined {
  return rate === undefined ? undefined : follow(rate, base, newBase);
}

function overrideRates(price: PoolModelPrice, book: Rates): Rates {
  const cacheWrite = price.cacheWrite ?? Math.max(follow(book.cacheWrite, book.input, price.input), price.input);
  const cachedInput = price.cachedInput ?? follow(book.cachedInput, book.input, price.input);
  const input = (rate: number | undefined): number | undefined => followIfKnown(rate, book.input, price.input);
  const output = (rate: number | undefined): number | undefined => followIfKnown(rate, book.output, price.output);
  return {
    input: price.input,
    cachedInput,
    cacheWrite,
    cacheWrite1h: Math.max(book.cacheWrite1h, cacheWrite),
    output: price.output,
    reasoning: price.reasoning ?? follow(book.reasoning, book.output, price.output),
    ...defined({
      inputAudio: price.inputAudio ?? input(book.inputAudio),
      cachedInputAudio: price.inputAudio ?? followIfKnown(book.cachedInputAudio, book.cachedInput, cachedInput),
      inputImage: price.inputImage ?? input(book.inputImage),
      inputVideo: price.inputVideo ?? input(book.inputVideo),
      inputDocument: input(book.inputDocument),
      outputAudio: price.outputAudio ?? output(book.outputAudio),
      outputImage: price.outputImage ?? output(book.outputImage),
    }),
  };
}

/**
 * Rates of a model that the book does not know. A missing rate of text is the highest of any provider, relative to input.
 * Pictures, video and documents count as text; audio and media output are unknown unless the pool names them.
 */
function unlistedRates(price: PoolModelPrice): Rates {
  const cacheWrite = price.cacheWrite ?? Math.ceil(price.input * 1.25);
  const { inputAudio, outputAudio, outputImage } = price;
  return {
    input: price.input,
    cachedInput: price.cachedInput ?? price.input,
    cacheWrite,
    cacheWrite1h: Math.max(cacheWrite, price.input * 2),
    output: price.output,
    reasoning: price.reasoning ?? price.output,
    inputImage: price.inputImage ?? price.input,
    inputVideo: price.inputVideo ?? price.input,
    inputDocument: price.input,
    ...defined({ inputAudio, cachedInputAudio: inputAudio, outputAudio, outputImage }),
  };
}

/** The dearer of two tables, class by class. A class that one of them does not know is unknown. */
function dearerRates(a: Rates, b: Rates): Rates {
  const entries = Object.entries(a).flatMap(([name, rate]) => {
    const other = b[name as keyof Rates];
    return other === undefined ? [] : [[name, Math.max(rate, other)]];
  });
  return Object.fromEntries(entries) as unknown as Rates;
}

function ownPrice(model: PoolModel, book: ModelPrice | null): ModelPrice | null {
  const { maxOutputTokens, contextTokens } = model;
  const limit = defined({ maxOutputTokens, contextTokens });
  if (model.price === undefined) return book === null ? null : { ...book, fees: { ...book.fees, ...model.fees }, ...limit };
  const fees = model.fees ?? {};
  if (book === null) return { rates: unlistedRates(model.price), tiers: [], fees, percent: {}, ...limit };
  const rates = overrideRates(model.price, book.rates);
  // If the pool names no long-context tier, the book's tiers apply, never below the pool's own rates.
  const tiers = book.tiers.map((tier) => ({ above: tier.above, rates: dearerRates(tier.rates, rates) }));
  return { ...book, rates, tiers, fees: { ...book.fees, ...fees }, ...limit };
}

function resolve(pool: PricedPool, index: Index, model: string): FoundModel | null {
  const own = index.own.get(model);
  const upstreamName = own?.upstreamName ?? model;
  const entry = bookEntry(index, upstreamName);
  const book = entry?.price ?? null;
  const price = own === undefined ? book : ownPrice(own, book);
  if (price === null) return null;
  const learned = Object.hasOwn(pool.learned, upstreamName) ? pool.learned[upstreamName] : undefined;
  return { upstreamName, price: learned === undefined ? price : { ...price, learned }, ...defined({ bookId: entry?.id }) };
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
  const found = resolve(pool, index, model);
  if (index.found.size >= maxRemembered) index.found.clear();
  index.found.set(model, found);
  return found;
}

/** Ids of the price list that name a family of models: no provider answers to them. */
const familyIds = new Set(['ada', 'babbage', 'codex-mini', 'computer-use', 'curie', 'davinci']);

/** Names that OpenRouter made of a vendor's, listed without the vendor: `gpt-4o:extended`, `gemini-flash-1.5`. */
const ofAggregator = /^[^/]*:[a-z]+$|^gemini-(?:flash|pro)-1\.5/;

/** False for an aggregator's name, for the name of a family, or the start of a fine-tuned model's name (`ft:gpt-3.5-turbo-`). */
function isConcrete(id: string): boolean {
  return !familyIds.has(id) && !/[-:]$/.test(id) && !ofAggregator.test(id);
}

/** Concrete names for listings, each once: the pool's own models, then the book's ids that can be called by that name. */
export function modelNames(pool: PricedPool): readonly string[] {
  const index = indexOf(pool);
  index.names ??= [
    ...new Set([...pool.models.map((model) => model.name), ...pool.book.map((entry) => entry.id).filter(isConcrete)]),
  ].filter((name) => resolve(pool, index, name) !== null);
  return index.names;
}
