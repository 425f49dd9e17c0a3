import type { Demand, OpenSearches } from '../../core/price/demand.ts';
import { stringBound } from '../../core/price/text.ts';

/** A demand in the making: a dialect adds what it finds while it walks a request. Starts as plain text alone. */
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

/** Begins with the bound of the whole body taken as text. */
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

/** Takes a payload (base64 of media) out of the text, where the body's bound had counted it. */
export function notText(tally: Tally, payload: string): void {
  tally.textTokens -= stringBound(payload);
}

/** Notes why the cost has no bound; the first reason stays. */
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
