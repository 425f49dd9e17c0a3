import type { ModelPrice as SourcePrice } from '@pydantic/genai-prices';
import { defined } from '../../core/json.ts';
import type { InputModality, Rates } from '../../core/price/types.ts';
import type { Fact } from './facts/fact.ts';

/** Pico-USD per token of the classes that a source names. */
export type Classes = Readonly<Partial<Record<keyof Rates, number>>>;

/** A price table: the base, and long-context tiers, ascending, with the classes that differ from the base. */
export interface Table {
  readonly base: Classes;
  readonly tiers: readonly { readonly above: number; readonly classes: Classes }[];
}

type Rate = NonNullable<SourcePrice[string]>;

/** Scales a decimal to an integer; a price with too many decimals (a third of a cent) is rounded up. */
function scaled(value: number, factor: number): number {
  const nearest = Math.round(value * factor);
  // The product of a price with few enough decimals differs only by binary noise.
  return Math.abs(nearest - value * factor) < 1e-6 ? nearest : Math.ceil(value * factor);
}

/** Pico-USD per token of a price in dollars per million tokens. */
export function picoPerToken(dollarsPerMillion: number): number {
  return scaled(dollarsPerMillion, 1e6);
}

/** Nano-USD per call of a price in dollars per 1,000 calls. */
export function nanoPerCall(dollarsPerThousand: number): number {
  return scaled(dollarsPerThousand, 1e6);
}

/** Where genai-prices keeps each class. Where it has several prices for one of ours, the dearest counts. */
const sourceKeys: Readonly<Record<keyof Rates, readonly string[]>> = {
  input: ['input_mtok'],
  cachedInput: ['cache_read_mtok', 'cache_image_read_mtok'],
  cacheWrite: ['cache_write_mtok'],
  cacheWrite1h: ['cache_write_1h_mtok'],
  output: ['output_mtok'],
  reasoning: ['output_reasoning_mtok'],
  inputAudio: ['input_audio_mtok'],
  cachedInputAudio: ['cache_audio_read_mtok'],
  inputImage: ['input_image_mtok'],
  inputVideo: ['input_video_mtok'],
  inputDocument: [],
  outputAudio: ['output_audio_mtok'],
  outputImage: ['output_image_mtok'],
};

// Fees come from the providers' own pages: the lists have one for all tools and models.
const tokenKeys = new Set(Object.values(sourceKeys).flat());
const feeKeys = new Set(['web_searches_kcount', 'storage_searches_kcount']);

/** The rate of one key for calls with more than `above` input tokens (-1: the base). */
function rateAt(rate: Rate | undefined, above: number): number | undefined {
  if (rate === undefined) return undefined;
  if (typeof rate === 'number') return picoPerToken(rate);
  const reached = rate.tiers.filter((tier) => tier.start <= above).sort((a, b) => a.start - b.start);
  return picoPerToken(reached.at(-1)?.price ?? rate.base);
}

function classesAt(price: SourcePrice, above: number): Classes {
  const entries = Object.entries(sourceKeys).flatMap(([name, keys]) => {
    const rates = keys.flatMap((key) => rateAt(price[key], above) ?? []);
    return rates.length === 0 ? [] : [[name, Math.max(...rates)]];
  });
  return Object.fromEntries(entries);
}

/**
 * One price list of genai-prices (dollars per million tokens; a tier starts strictly above its `start`). Null: the model is
 * billed by another unit than tokens (hours, pages), or by none that is known, unless it is free by its name.
 */
export function tableOf(id: string, price: SourcePrice): Table | null {
  const keys = Object.keys(price);
  if (keys.length === 0 && id.endsWith(':free')) return { base: { input: 0, output: 0 }, tiers: [] };
  if (price['input_mtok'] === undefined || keys.some((key) => !tokenKeys.has(key) && !feeKeys.has(key))) return null;
  const starts = Object.values(price).flatMap((rate) => (typeof rate === 'object' ? rate.tiers.map((tier) => tier.start) : []));
  const ascending = [...new Set(starts)].sort((a, b) => a - b);
  return { base: classesAt(price, -1), tiers: ascending.map((above) => ({ above, classes: classesAt(price, above) })) };
}

/** The classes of a table for calls with more than `above` input tokens; 0: the base. */
export function classesAbove({ base, tiers }: Table, above: number): Classes {
  return { ...base, ...tiers.findLast((tier) => tier.above <= above)?.classes };
}

/** What the lists and the provider's page say: the dearer, where both name a class. */
function dearer(named: Classes, stated: NonNullable<Fact['rates']>): Classes {
  const entries = Object.entries(stated).map(([name, dollars]) => {
    return [name, Math.max(picoPerToken(dollars), named[name as keyof Rates] ?? 0)];
  });
  return { ...named, ...(Object.fromEntries(entries) as Classes) };
}

/**
 * All rates, from the classes that the lists name and what is known of the model. Text always has a rate:
 * - output without a price costs nothing with an embedding, else what input costs;
 * - cached input and cache writes cost what input costs (there is no fee for writing then);
 * - one-hour writes at Anthropic's ratio, twice the input, or as a write if that is dearer.
 * Any other class is unknown unless it is named, or the provider bills it as text.
 */
export function ratesOf(id: string, named: Classes, { asText = [], speaks = false, rates = {} }: Fact): Rates {
  const known = dearer(named, rates);
  const { input = 0 } = known;
  const output = known.output ?? (id.includes('embed') ? 0 : input);
  const { cachedInput = input, cacheWrite = input, reasoning = output } = known;
  const text = (modality: InputModality): number | undefined => (asText.includes(modality) ? input : undefined);
  return {
    input,
    cachedInput,
    cacheWrite,
    cacheWrite1h: known.cacheWrite1h ?? Math.max(cacheWrite, input * 2),
    output,
    reasoning,
    ...defined({
      inputAudio: known.inputAudio ?? text('audio'),
      cachedInputAudio: known.cachedInputAudio ?? (asText.includes('audio') ? cachedInput : undefined),
      inputImage: known.inputImage ?? text('image'),
      inputVideo: known.inputVideo ?? text('video'),
      inputDocument: known.inputDocument ?? text('document'),
      outputAudio: known.outputAudio ?? (speaks ? output : undefined),
      outputImage: known.outputImage,
    }),
  };
}
