import type { ModelPrice as SourcePrice } from '@pydantic/genai-prices';
import { defined } from '../../core/json.ts';
import type { ModelPrice, Rates } from '../../core/price/types.ts';

/** The part of a price that genai-prices knows. */
export type TokenPrice = Pick<ModelPrice, 'rates' | 'tiers' | 'fees'>;

type Rate = NonNullable<SourcePrice[string]>;

/** Units that a demand can bound: tokens and calls. A model with any other unit is not priced. */
const known = new Set([
  'input_mtok',
  'output_mtok',
  'cache_read_mtok',
  'cache_write_mtok',
  'cache_write_1h_mtok',
  'output_reasoning_mtok',
  'input_audio_mtok',
  'input_image_mtok',
  'input_video_mtok',
  'cache_audio_read_mtok',
  'cache_image_read_mtok',
  'output_audio_mtok',
  'output_image_mtok',
  'output_video_mtok',
  'web_searches_kcount',
  // File search is a hosted tool, whose cost dialects report as unmeterable.
  'storage_searches_kcount',
]);

/** Scales a decimal to an integer; a price with too many decimals (a third of a cent) is rounded up. */
function scaled(value: number, factor: number): number {
  const nearest = Math.round(value * factor);
  // The product of a price with few enough decimals differs only by binary noise.
  return Math.abs(nearest - value * factor) < 1e-6 ? nearest : Math.ceil(value * factor);
}

/** The rate of one key for calls with more than `above` input tokens (-1: the base), in pico-USD per token. */
function rateAt(rate: Rate | undefined, above: number): number | undefined {
  if (rate === undefined) return undefined;
  if (typeof rate === 'number') return scaled(rate, 1e6);
  const reached = rate.tiers.filter((tier) => tier.start <= above).sort((a, b) => a.start - b.start);
  return scaled(reached.at(-1)?.price ?? rate.base, 1e6);
}

/** The dearest of the given rates; the fallback if there are none. */
function dearest(fallback: number, ...rates: readonly (number | undefined)[]): number {
  const named = rates.filter((rate) => rate !== undefined);
  return named.length === 0 ? fallback : Math.max(...named);
}

/**
 * Fills every class. A class without a rate is billed as follows:
 * - cached input and cache writes as input (there are no write fees then);
 * - one-hour writes at Anthropic's ratio, twice the input, or as a write if that is dearer;
 * - audio and images as the text of their direction.
 * Video has no class of its own and counts as images, at the dearer rate of the two; cached images likewise count as cached text.
 */
function ratesAt(price: SourcePrice, above: number, fallbackOutput: number): Rates {
  const named = (key: string): number | undefined => rateAt(price[key], above);
  const input = named('input_mtok') ?? 0;
  const output = named('output_mtok') ?? fallbackOutput;
  const cachedInput = dearest(input, named('cache_read_mtok'), named('cache_image_read_mtok'));
  const cacheWrite = named('cache_write_mtok') ?? input;
  return {
    input,
    cachedInput,
    cacheWrite,
    cacheWrite1h: named('cache_write_1h_mtok') ?? Math.max(cacheWrite, input * 2),
    output,
    reasoning: named('output_reasoning_mtok') ?? output,
    inputAudio: named('input_audio_mtok') ?? input,
    cachedInputAudio: named('cache_audio_read_mtok') ?? cachedInput,
    inputImage: dearest(input, named('input_image_mtok'), named('input_video_mtok')),
    outputAudio: named('output_audio_mtok') ?? output,
    outputImage: dearest(output, named('output_image_mtok'), named('output_video_mtok')),
  };
}

function tierStarts(price: SourcePrice): readonly number[] {
  const starts = Object.values(price).flatMap((rate) => (typeof rate === 'object' ? rate.tiers.map((tier) => tier.start) : []));
  return [...new Set(starts)].sort((a, b) => a - b);
}

/**
 * Integer rates of one price table of genai-prices (dollars per million tokens; a tier starts strictly above its
 * `start`). Null: the model is billed by an unbounded unit (hours, pages), or by no known unit.
 * If a table has no output rate, output costs what input does, unless the id is that of an embedding.
 */
export function pricesOf(id: string, price: SourcePrice): TokenPrice | null {
  const keys = Object.keys(price);
  const free = keys.length === 0 && id.endsWith(':free');
  if (!free && (price['input_mtok'] === undefined || keys.some((key) => !known.has(key)))) return null;
  const outputAt = (above: number): number => (id.includes('embed') ? 0 : (rateAt(price['input_mtok'], above) ?? 0));
  const webSearch = rateAt(price['web_searches_kcount'], -1);
  return {
    rates: ratesAt(price, -1, outputAt(-1)),
    tiers: tierStarts(price).map((above) => ({ above, rates: ratesAt(price, above, outputAt(above)) })),
    // $10 per 1,000 calls is 10,000,000 nano-USD a call: the same factor as pico-USD of a price per million.
    fees: defined({ webSearch }),
  };
}
