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
  /** Something whose size the request does not tell (file id, URL, stored conversation, server tool result): bounded by the model's context. */
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
  /** Why the cost cannot be bounded at all (hosted containers, background mode, priority tier); a capped key is refused. */
  readonly unmeterable?: string;
}

/** What a provider adds to every request beyond its bytes. */
export interface Overhead {
  /** Tokens added to any request (chat template, tool preamble). */
  readonly fixedTokens: number;
  /** Most tokens that one image can cost. */
  readonly tokensPerImage: number;
}
