import type { Demand, OpenSearches } from '../../core/price/demand.ts';

/** An unfinished demand: a dialect adds what it finds in a request. It starts as plain text alone. */
export interface Tally {
  textTokens: number;
  mediaTokens: number;
  images: number;
  audioInput: boolean;
  wholeContext: boolean;
  inputReads: number;
  cacheWrite: Demand['cacheWrite'];
  choices: number;
  audioOutput: boolean;
  imageOutput: boolean;
  webSearches: number | null;
  searchTokens: number;
  openSearches: OpenSearches | undefined;
  unmeterable: string | undefined;
}

/** Starts a tally with the bound of the whole body as text. */
export function startTally(bodyTokens: number): Tally {
  return {
    textTokens: bodyTokens,
    mediaTokens: 0,
    images: 0,
    audioInput: false,
    wholeContext: false,
    inputReads: 1,
    cacheWrite: 'none',
    choices: 1,
    audioOutput: false,
    imageOutput: false,
    webSearches: 0,
    searchTokens: 0,
    openSearches: undefined,
    unmeterable: undefined,
  };
}

/**
 * Subtracts a payload (base64 of media) from the text, because the body's bound has counted it: as its bytes at least,
 * and not always as more.
 */
export function notText(tally: Tally, payload: string): void {
  tally.textTokens -= Buffer.byteLength(payload);
}

/** Notes why the cost has no bound; the first reason wins. */
export function unbounded(tally: Tally, reason: string): void {
  tally.unmeterable ??= reason;
}

/** Adds web searches; an unlimited number makes the sum unlimited. */
export function addSearches(tally: Tally, max: number | null): void {
  tally.webSearches = tally.webSearches === null || max === null ? null : tally.webSearches + max;
}

/** The finished demand. */
export function demandOf(tally: Tally): Demand {
  const { unmeterable, openSearches, searchTokens, ...rest } = tally;
  return {
    ...rest,
    ...(searchTokens === 0 ? {} : { searchTokens }),
    ...(openSearches === undefined ? {} : { openSearches }),
    ...(unmeterable === undefined ? {} : { unmeterable }),
  };
}
