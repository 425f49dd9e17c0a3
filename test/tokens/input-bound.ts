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
  outputAudio: each,
  outputImage: each,
};
const price: ModelPrice = { rates, tiers: [], webSearch: 0, contextTokens: 1_000_000 };

/** The input tokens that a capped key would pay for before the call; null where the call has no bound. */
export function inputBound({ overhead }: Provider, demand: Demand): number | null {
  const bound = upperBound(price, demand, overhead, 0);
  return typeof bound === 'number' ? bound : null;
}

/** True if the request has pictures, audio or files, inline or by reference. */
export function hasMedia({ images, mediaTokens, wholeContext }: Demand): boolean {
  return images > 0 || mediaTokens > 0 || wholeContext;
}
