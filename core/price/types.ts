import type { NanoUsd, PicoUsdPerToken } from '../money.ts';

/** What input can be, beside text. Each may have a price of its own. */
export type InputModality = 'image' | 'audio' | 'video' | 'document';

/** What output can be, beside text. */
export type OutputModality = 'image' | 'audio';

/**
 * What providers bill by the call instead of by the token.
 * - `request`: the call itself (models that search in every call, Perplexity's Sonar).
 * - `webSearch`, `webSearchPreview`: one search, by the tool's type.
 * - `groundedPrompt`: a prompt that was grounded, with any number of searches (Gemini 2).
 * - `mapsPrompt`: a prompt that was grounded by maps, which is billed beside its searches (Gemini).
 * - `fileSearch`: one search in a vector store.
 * - `container`: one session of a hosted container (code interpreter, hosted shell, code execution).
 */
export type Fee = 'request' | 'webSearch' | 'webSearchPreview' | 'groundedPrompt' | 'mapsPrompt' | 'fileSearch' | 'container';

/** Counts of billed calls; an absent fee counts as 0. */
export type FeeCounts = Readonly<Partial<Record<Fee, number>>>;

/** How a provider served a call, if that multiplies the price of its tokens: OpenAI's service tiers, Anthropic's speed and geography. */
export type Serving = 'flex' | 'priority' | 'fast' | 'us';

/**
 * What a provider reports that a call used, in disjoint classes. `input` always excludes cached and cache-write tokens,
 * `reasoning` is part of `output`, and the figures of modalities are parts of the class they name.
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
  /** Parts of input. */
  readonly inputAudio?: number;
  readonly inputImage?: number;
  readonly inputVideo?: number;
  readonly inputDocument?: number;
  /** Part of cachedInput. */
  readonly cachedInputAudio?: number;
  /** Parts of output. */
  readonly outputAudio?: number;
  readonly outputImage?: number;
  /** Billed calls of hosted tools; `request` is counted by the price, not by the answer. */
  readonly fees?: FeeCounts;
  /** As the answer says; absent: it says nothing, or the standard. */
  readonly servings?: readonly Serving[];
  /** What the provider itself says that the call cost (OpenRouter). The call is charged at least this. */
  readonly namedCostNano?: NanoUsd;
}

/** Pico-USD per token of each class. An absent rate is unknown, so a capped key may not use that class. */
export interface Rates {
  readonly input: PicoUsdPerToken;
  readonly cachedInput: PicoUsdPerToken;
  readonly cacheWrite: PicoUsdPerToken;
  readonly cacheWrite1h: PicoUsdPerToken;
  readonly output: PicoUsdPerToken;
  readonly reasoning: PicoUsdPerToken;
  readonly inputAudio?: PicoUsdPerToken;
  readonly cachedInputAudio?: PicoUsdPerToken;
  readonly inputImage?: PicoUsdPerToken;
  readonly inputVideo?: PicoUsdPerToken;
  readonly inputDocument?: PicoUsdPerToken;
  readonly outputAudio?: PicoUsdPerToken;
  readonly outputImage?: PicoUsdPerToken;
}

/** Price of one model at one provider. */
export interface ModelPrice {
  /** Base rates. */
  readonly rates: Rates;
  /** Long-context tiers, ascending. If a call has more input tokens in total than `above`, `rates` price the whole call. */
  readonly tiers: readonly { readonly above: number; readonly rates: Rates }[];
  /** Per billed call. An absent fee is unknown, so a capped key may not use the tool; an absent `request` costs nothing. */
  readonly fees: Readonly<Partial<Record<Fee, NanoUsd>>>;
  /** Percent of the standard price of all tokens, e.g. 200. Absent: unknown. */
  readonly percent: Readonly<Partial<Record<Serving, number>>>;
  /** Absent: unknown, so a call without an explicit limit cannot be bounded. */
  readonly maxOutputTokens?: number;
  /** Absent: unknown. Bounds what cannot be counted from the request's bytes (files, stored context). */
  readonly contextTokens?: number;
  /** True if the model reasons although the request does not ask for it. */
  readonly reasonsByDefault?: true;
  /** What bills have taught about this model in this pool. */
  readonly learned?: Learned;
}

/** What bills above their bound have taught about one model in one pool. */
export interface Learned {
  /** Percent of the computed bound that calls with this feature need, above 100. */
  readonly percent: Readonly<Partial<Record<Feature, number>>>;
  /** Features with a bill that no model could run up: refused on capped keys until somebody acknowledges it. */
  readonly refused: readonly Feature[];
}

const features = [
  'text',
  'tools',
  'structuredOutput',
  'hostedTools',
  'image',
  'audio',
  'video',
  'document',
  'stored',
  'prediction',
  'counted',
] as const;

/** What a request uses, as far as its bound depends on it. `text` stands for a request without any other. */
export type Feature = (typeof features)[number];

export function isFeature(value: unknown): value is Feature {
  return features.some((feature) => feature === value);
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
