import type { Feature, Fee, FeeCounts, InputModality, OutputModality, Serving } from './types.ts';

/** A picture's size in pixels, read from its bytes; null: unknown, so the provider's maximum bounds it. */
export type PictureSize = { readonly width: number; readonly height: number } | null;

/** Everything that a provider could bill for a request. A dialect reads it from the body. Upper bounds, never guesses. */
export interface Demand {
  /** Bound of the tokens of all text: max(UTF-8 bytes, UTF-8 bytes after NFKC) summed over decoded strings, keys included. */
  readonly textTokens: number;
  /** Inline or linked pictures. The provider's rule bounds each by its size. */
  readonly pictures: readonly PictureSize[];
  /** Bound of the tokens of other inline media, by what they are billed as. */
  readonly media: Readonly<Partial<Record<InputModality, number>>>;
  /** What content of unstated size (file, URL, stored conversation) may be; absent: there is none. The model's context then bounds the input. */
  readonly stored?: readonly (InputModality | 'text')[];
  /** Thoughts of earlier answers that the request names by id; each is part of one answer, so the model's output limit bounds it. Absent: none. */
  readonly thoughts?: number;
  /** What the request uses; `text` alone is never listed with others. */
  readonly features: readonly Feature[];
  /** How often hosted tools may make the model read the input within the call; 1 = once. */
  readonly inputReads: number;
  /** Bound of the tokens that one result of a hosted tool adds to the input; absent: unknown, so the context bounds each further reading. */
  readonly toolTokens?: number;
  /** How many results are added, at most one before each further reading; absent: one before each. */
  readonly toolResults?: number;
  /** True if no tool but OpenAI's preview of web search makes the model read again. */
  readonly onlyPreviews?: true;
  /** The longest-lived cache write that could be billed for input. */
  readonly cacheWrite: 'none' | '5m' | '1h';
  /** Parallel answers (`n`, `candidateCount`): multiplies output. */
  readonly choices: number;
  /** Bound of output tokens that are billed beyond the output limit (a rejected prediction). */
  readonly extraOutputTokens: number;
  /** Summaries that the provider may write beyond the output limit (compaction), each up to the model's own maximum; absent: none. */
  readonly summaries?: number;
  /** What the request asks for beside text. An unknown price of it is refused. */
  readonly outputs: readonly OutputModality[];
  /** True if the request does not say what the answer is made of: everything that the model has a price for counts. */
  readonly anyOutput: boolean;
  /** Bound of the billed calls of hosted tools; null: the request sets no limit on this one. */
  readonly fees: Readonly<{ [fee in keyof FeeCounts]: number | null }>;
  /** Calls of hosted tools that the request offers without a limit, if one can be set in it. The fields above do not count them. */
  readonly openCalls?: OpenCalls;
  /** Calls of hosted tools that the request itself limits, if its limit can be lowered. The fields above count them whole. */
  readonly givenCalls?: GivenCalls;
  /** How the provider may serve the call, beside the standard. The dearest counts; an unknown price is refused. */
  readonly servings: readonly Serving[];
  /** True if the request leaves the place of inference to the account: where the price names a dearer one, it counts. */
  readonly anyPlace?: true;
  /** Why the cost cannot be bounded (background mode, stored prompts). A capped key's call is then refused. */
  readonly unmeterable?: string;
}

/** Offers of hosted tools that still need a limit. */
export interface OpenCalls {
  /** What each call may cost; one that is named twice is paid twice. */
  readonly fees: readonly Fee[];
  /** Tools to each of which the limit applies. */
  readonly tools: number;
  /** Maximum of the times that the provider reads the input, for any number of calls. */
  readonly maxReads: number;
  /** The caller's own limit, which KeyForge may only lower; absent: there is none. */
  readonly most?: number;
}

/** Offers of hosted tools with the limits that the caller set. */
export interface GivenCalls extends OpenCalls {
  readonly most: number;
  /** How many calls are counted, for all tools. */
  readonly calls: number;
  /** How many readings are counted for them. */
  readonly reads: number;
}

/** The demand as if the request set no limit on its calls, so that a lower one can be set; null: there is none that can be lowered. */
export function reopened({ givenCalls, ...demand }: Demand): Demand | null {
  if (givenCalls === undefined || demand.openCalls !== undefined) return null;
  const { calls, reads, ...openCalls } = givenCalls;
  const fees: { [fee in Fee]?: number | null } = { ...demand.fees };
  for (const fee of openCalls.fees) {
    const counted = fees[fee];
    // A fee of 0 would say that the call is free.
    if (counted === calls) delete fees[fee];
    else if (typeof counted === 'number') fees[fee] = counted - calls;
  }
  const { toolResults } = demand;
  return {
    ...demand,
    ...{ fees, openCalls, inputReads: demand.inputReads - reads },
    ...(toolResults === undefined ? {} : { toolResults: toolResults - calls }),
  };
}

/** Sets this many calls as the limit of each open offer, and counts them. */
export function withCalls(demand: Demand, each: number): Demand {
  if (demand.openCalls === undefined) return demand;
  const { openCalls, ...rest } = demand;
  const more = openCalls.tools * each;
  const fees: { [fee in Fee]?: number | null } = { ...rest.fees };
  for (const fee of openCalls.fees) {
    const counted = fees[fee];
    if (counted !== null) fees[fee] = (counted ?? 0) + more;
  }
  const inputReads = Math.max(rest.inputReads, Math.min(rest.inputReads + more, openCalls.maxReads));
  const { toolResults } = rest;
  return { ...rest, fees, inputReads, ...(toolResults === undefined ? {} : { toolResults: toolResults + more }) };
}

/** Replaces what bytes bound by what the provider counted, widened by its margin. Content of unstated size keeps its bound. */
export function withCount({ thoughts: _, ...demand }: Demand, tokens: number): Demand {
  return {
    ...demand,
    textTokens: tokens,
    pictures: [],
    media: {},
    features: [...demand.features.filter((name) => name !== 'text'), 'counted'],
  };
}

/** Replaces content of unstated size by its known size. It is text as far as anybody knows, and priced as such. */
export function withKnown({ stored: _, ...demand }: Demand, tokens: number): Demand {
  return { ...demand, textTokens: demand.textTokens + tokens };
}

/** What a provider adds to a request of one model beyond its bytes. */
export interface Overhead {
  /** Tokens that every request has, and that a feature adds (preambles of tools and structured output). */
  readonly tokens: Readonly<Partial<Record<Feature | 'request', number>>>;
  /** True if the fee of OpenAI's preview of web search pays for its results too. */
  readonly freePreviews?: true;
  /** Maximum of tokens for one picture, as the provider counts it. */
  pictureTokens(size: PictureSize): number;
}
