/** Everything that a provider could bill for a request. A dialect reads it from the body. Upper bounds, never guesses. */
export interface Demand {
  /** Bound of the tokens of all text: max(UTF-8 bytes, UTF-8 bytes after NFKC) summed over decoded strings, keys included. */
  readonly textTokens: number;
  /** Bound of the tokens of inline audio and documents; 0 where there is none. */
  readonly mediaTokens: number;
  /** Inline or linked images, each bounded by the provider's maximum per image. */
  readonly images: number;
  /** True if audio input is billed at the audio rate. */
  readonly audioInput: boolean;
  /** True if the request refers to content of unstated size (file, URL, stored conversation). The model's context then bounds it. */
  readonly wholeContext: boolean;
  /** How often hosted tools may make the model read the input within the call; 1 = once. */
  readonly inputReads: number;
  /** The longest-lived cache write that could be billed for input. */
  readonly cacheWrite: 'none' | '5m' | '1h';
  /** Parallel answers (`n`, `candidateCount`): multiplies output. */
  readonly choices: number;
  readonly audioOutput: boolean;
  readonly imageOutput: boolean;
  /** Bound of web searches that the call is billed; null if the request sets none. */
  readonly webSearches: number | null;
  /** Bound of the tokens that web search results add to each reading of the input; absent: 0, or wholeContext covers them. */
  readonly searchTokens?: number;
  /** Web searches that the request offers without a limit, if one can be set in it. The fields above do not count them. */
  readonly openSearches?: OpenSearches;
  /** Why the cost cannot be bounded (hosted containers, background mode, priority tier). A capped key's call is then refused. */
  readonly unmeterable?: string;
}

/** Offers of web search that still need a limit. */
export interface OpenSearches {
  /** Tools to each of which the limit applies. */
  readonly tools: number;
  /** Maximum of the times that the provider reads the input, for any number of searches. */
  readonly maxReads: number;
}

/** Sets this many searches as the limit of each open offer, and counts them. */
export function withSearches(demand: Demand, each: number): Demand {
  const { openSearches, ...rest } = demand;
  if (openSearches === undefined || rest.webSearches === null) return demand;
  const more = openSearches.tools * each;
  const inputReads = Math.max(rest.inputReads, Math.min(rest.inputReads + more, openSearches.maxReads));
  return { ...rest, webSearches: rest.webSearches + more, inputReads };
}

/** What a provider adds to every request beyond its bytes. */
export interface Overhead {
  /** Tokens added to any request (chat template, tool preamble). */
  readonly fixedTokens: number;
  /** The maximum of one image. */
  readonly tokensPerImage: number;
}
