import type { NanoUsd, PicoUsdPerToken } from '../money.ts';

/**
 * What a provider reports that a call used, in disjoint classes. `input` always excludes cached and cache-write tokens,
 * `reasoning` is part of `output`, and the audio and image figures are parts of the class they name.
 */
export interface Usage {
  readonly input: number;
  readonly cachedInput: number;
  /** Cache writes of every lifetime. */
  readonly cacheWrite: number;
  readonly output: number;
  readonly reasoning: number;
  /** Part of cacheWrite, billed at the one-hour rate. */
  readonly cacheWrite1h?: number;
  /** Part of input. */
  readonly inputAudio?: number;
  /** Part of input. */
  readonly inputImage?: number;
  /** Part of cachedInput. */
  readonly cachedInputAudio?: number;
  /** Part of output. */
  readonly outputAudio?: number;
  /** Part of output. */
  readonly outputImage?: number;
  /** Calls of hosted tools that are billed by the call. */
  readonly webSearches?: number;
}

/** Pico-USD per token of each class. If the book names no rate for a class, compilation fills in the dearest that could apply. */
export interface Rates {
  readonly input: PicoUsdPerToken;
  readonly cachedInput: PicoUsdPerToken;
  readonly cacheWrite: PicoUsdPerToken;
  readonly cacheWrite1h: PicoUsdPerToken;
  readonly output: PicoUsdPerToken;
  readonly reasoning: PicoUsdPerToken;
  readonly inputAudio: PicoUsdPerToken;
  readonly cachedInputAudio: PicoUsdPerToken;
  readonly inputImage: PicoUsdPerToken;
  readonly outputAudio: PicoUsdPerToken;
  readonly outputImage: PicoUsdPerToken;
}

/** Price of one model at one provider. */
export interface ModelPrice {
  /** Base rates. */
  readonly rates: Rates;
  /** Long-context tiers, ascending. If a call has more input tokens in total than `above`, `rates` price the whole call. */
  readonly tiers: readonly { readonly above: number; readonly rates: Rates }[];
  /** Per web search call; absent: unknown, so a capped key may not use the tool. */
  readonly webSearch?: NanoUsd;
  /** Absent: unknown, so a call without an explicit limit cannot be bounded. */
  readonly maxOutputTokens?: number;
  /** Absent: unknown. Bounds what cannot be counted from the request's bytes (files, stored context). */
  readonly contextTokens?: number;
}

/** How a book entry matches the model string of a request. The first match wins. */
export type ModelMatch =
  | { readonly equals: string }
  | { readonly startsWith: string }
  | { readonly endsWith: string }
  | { readonly contains: string }
  | { readonly regex: string }
  | { readonly or: readonly ModelMatch[] }
  | { readonly and: readonly ModelMatch[] };

/** One line of a compiled price book: plain data, part of a pool document. */
export interface BookEntry {
  readonly id: string;
  readonly match: ModelMatch;
  /** Null: the model is not billed by tokens. The entry still matches, so that no broader entry below prices it. */
  readonly price: ModelPrice | null;
}
