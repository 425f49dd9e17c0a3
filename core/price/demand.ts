/** What a request could make a provider bill, read from its body by a dialect. Upper bounds, never guesses. */
export interface Demand {
  /** Bound of the tokens of all text: max(UTF-8 bytes, UTF-8 bytes after NFKC) summed over decoded strings, keys included. */
  readonly textTokens: number;
  /** Bound of the tokens of inline audio and documents; 0 where there is none. */
  readonly mediaTokens: number;
  /** Inline or linked images, each bounded by the provider's maximum per image. */
  readonly images: number;
  /** True where audio input is billed at the audio rate. */
  readonly audioInput: boolean;
  /** Something whose size the request does not state (file id, URL, stored conversation, server tool result): bounded by the model's context. */
  readonly wholeContext: boolean;
  /** How often the input may be read again by hosted tools within the one call; 1 = once. */
  readonly inputReads: number;
  /** The longest-lived cache write that could be billed for input. */
  readonly cacheWrite: 'none' | '5m' | '1h';
  /** Parallel answers (`n`, `candidateCount`): multiplies output. */
  readonly choices: number;
  readonly audioOutput: boolean;
  readonly imageOutput: boolean;
  /** Bound of web searches billed by the call; null where the request sets none. */
  readonly webSearches: number | null;
  /** Bound of the tokens that results of web searches add to each reading of the input; absent: 0, or wholeContext says it. */
  readonly searchTokens?: number;
  /** Web searches that the request offers without a limit, where one can be set in it; nothing of them is counted above. */
  readonly openSearches?: OpenSearches;
  /** Why the cost cannot be bounded at all (hosted containers, background mode, priority tier); a capped key is refused. */
  readonly unmeterable?: string;
}

/** Offers of web search whose limit is still to be set. */
export interface OpenSearches {
  /** Tools to each of which the limit applies. */
  readonly tools: number;
  /** The provider reads the input no more often than this, however many searches there are. */
  readonly mostReads: number;
}

/** The demand with so many searches for each open offer, which is then no longer open. */
export function withSearches(demand: Demand, each: number): Demand {
  const { openSearches, ...rest } = demand;
  if (openSearches === undefined || rest.webSearches === null) return demand;
  const more = openSearches.tools * each;
  const inputReads = Math.max(rest.inputReads, Math.min(rest.inputReads + more, openSearches.mostReads));
  return { ...rest, webSearches: rest.webSearches + more, inputReads };
}

/** What a provider adds to every request beyond its bytes. */
export interface Overhead {
  /** Tokens added to any request (chat template, tool preamble). */
  readonly fixedTokens: number;
  /** The maximum of one image. */
  readonly tokensPerImage: number;
}
