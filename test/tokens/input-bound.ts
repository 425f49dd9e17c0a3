import { upperBound } from '../../core/price/bound.ts';
import type { Demand } from '../../core/price/demand.ts';
import type { ModelPrice, Rates } from '../../core/price/types.ts';
import type { Provider } from '../../proxy/provider/types.ts';

/** A nano-USD for each token of any class, so that a bound in money is a bound in tokens. */
const each = 1000;
const rates: Rates = {
  input: each,
  cachedInput: each,
  cacheWrite: each,
  cacheWrite1h: each,
  output: each,
  reasoning: each,
  inputAudio: each,
  cachedInputAudio: each,
  inputImage: each,
  inputVideo: each,
  inputDocument: each,
  outputAudio: each,
  outputImage: each,
};
const free = { request: 0, webSearch: 0, webSearchPreview: 0, groundedPrompt: 0, mapsPrompt: 0, fileSearch: 0, container: 0 };
const price: ModelPrice = { rates, tiers: [], fees: free, percent: {}, contextTokens: 1_000_000 };

/** The input tokens that a capped key would pay for before a call of this model; null where the call has no bound. */
export function inputBound(provider: Provider, model: string, demand: Demand): number | null {
  const bound = upperBound(price, demand, provider.overheadOf(model), 0);
  return typeof bound === 'number' ? bound : null;
}

/** True if the request has pictures, audio or files, inline or by reference. */
export function hasMedia({ pictures, media, stored }: Demand): boolean {
  return pictures.length > 0 || Object.keys(media).length > 0 || stored !== undefined;
}
