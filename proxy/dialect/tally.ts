import type { Demand, GivenCalls, OpenCalls, PictureSize } from '../../core/price/demand.ts';
import type { Feature, Fee, InputModality, OutputModality, Serving } from '../../core/price/types.ts';

/** An unfinished demand: a dialect adds what it finds in a request. It starts as plain text alone. */
export interface Tally {
  textTokens: number;
  readonly pictures: PictureSize[];
  readonly media: { [modality in InputModality]?: number };
  readonly stored: Set<InputModality | 'text'>;
  readonly features: Set<Feature>;
  inputReads: number;
  /** NaN: a hosted tool adds results of unknown size. */
  toolTokens: number;
  /** Infinite: one before each further reading. */
  toolResults: number;
  onlyPreviews: boolean;
  cacheWrite: Demand['cacheWrite'];
  choices: number;
  extraOutputTokens: number;
  summaries: number;
  thoughts: number;
  readonly outputs: Set<OutputModality>;
  anyOutput: boolean;
  readonly fees: { [fee in Fee]?: number | null };
  openCalls: OpenCalls | undefined;
  givenCalls: GivenCalls | undefined;
  readonly servings: Set<Serving>;
  anyPlace: boolean;
  unmeterable: string | undefined;
}

/** Starts a tally with the bound of the whole body as text. */
export function startTally(bodyTokens: number): Tally {
  return {
    textTokens: bodyTokens,
    pictures: [],
    media: {},
    stored: new Set(),
    features: new Set(),
    inputReads: 1,
    toolTokens: 0,
    toolResults: Number.POSITIVE_INFINITY,
    onlyPreviews: false,
    cacheWrite: 'none',
    choices: 1,
    extraOutputTokens: 0,
    summaries: 0,
    thoughts: 0,
    outputs: new Set(),
    anyOutput: false,
    fees: {},
    openCalls: undefined,
    givenCalls: undefined,
    servings: new Set(),
    anyPlace: false,
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

/** Notes content of unstated size, and what it may be. */
export function addStored(tally: Tally, ...modalities: readonly (InputModality | 'text')[]): void {
  tally.features.add('stored');
  for (const modality of modalities) tally.stored.add(modality);
}

/** Adds one picture; null: its size is unknown. */
export function addPicture(tally: Tally, size: PictureSize): void {
  tally.features.add('image');
  tally.pictures.push(size);
}

/** Adds media with a bound of its own. */
export function addMedia(tally: Tally, modality: InputModality, tokens: number): void {
  tally.features.add(modality);
  tally.media[modality] = (tally.media[modality] ?? 0) + tokens;
}

/** Adds billed calls of a hosted tool; an unlimited number makes the sum unlimited. */
export function addFee(tally: Tally, fee: Fee, max: number | null): void {
  const sum = tally.fees[fee] === undefined ? 0 : tally.fees[fee];
  tally.fees[fee] = sum === null || max === null ? null : sum + max;
}

/** Adds rounds of a hosted tool, each of which makes the model read its input again with at most this many tokens more; null: unknown. */
export function addRounds(tally: Tally, rounds: number, tokensEach: number | null): void {
  tally.features.add('hostedTools');
  tally.inputReads += rounds;
  tally.toolTokens = tokensEach === null ? Number.NaN : Math.max(tally.toolTokens, tokensEach);
}

/** The finished demand. */
export function demandOf(tally: Tally): Demand {
  const { toolTokens, summaries, thoughts, stored, toolResults, openCalls, givenCalls, unmeterable } = tally;
  return {
    textTokens: tally.textTokens,
    pictures: tally.pictures,
    media: tally.media,
    features: listOf(tally.features),
    inputReads: tally.inputReads,
    cacheWrite: tally.cacheWrite,
    choices: tally.choices,
    extraOutputTokens: tally.extraOutputTokens,
    outputs: listOf(tally.outputs),
    anyOutput: tally.anyOutput,
    fees: tally.fees,
    servings: listOf(tally.servings),
    ...(tally.anyPlace ? { anyPlace: true } : {}),
    ...(stored.size === 0 ? {} : { stored: [...stored] }),
    ...(Number.isNaN(toolTokens) ? {} : { toolTokens }),
    ...(tally.onlyPreviews ? { onlyPreviews: true } : {}),
    ...(summaries === 0 ? {} : { summaries }),
    ...(thoughts === 0 ? {} : { thoughts }),
    ...(Number.isFinite(toolResults) ? { toolResults } : {}),
    ...(openCalls === undefined ? {} : { openCalls }),
    ...(givenCalls === undefined ? {} : { givenCalls }),
    ...(unmeterable === undefined ? {} : { unmeterable }),
  };
}

const nothing: readonly never[] = [];

function listOf<T>(set: ReadonlySet<T>): readonly T[] {
  return set.size === 0 ? nothing : [...set];
}
