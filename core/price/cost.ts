import { addMoney, type NanoUsd, picoCost, picoToNano } from '../money.ts';
import type { ModelPrice, Rates, Usage } from './types.ts';

/** A billable count: absent and negative become 0, fractions round up. NaN stays and then throws MoneyOverflow. */
function count(tokens: number | undefined): number {
  return tokens === undefined ? 0 : Math.max(0, Math.ceil(tokens));
}

/** The rates of the tier that a call with this many input tokens falls in. */
function ratesFor(price: ModelPrice, inputTokens: number): Rates {
  let rates = price.rates;
  for (const tier of price.tiers) if (inputTokens > tier.above) rates = tier.rates;
  return rates;
}

/** Pico-USD of all input: uncached, cached and written. */
function inputCost(rates: Rates, usage: Usage, cacheWrite: number): number {
  const input = count(usage.input);
  const audio = Math.min(count(usage.inputAudio), input);
  const image = Math.min(count(usage.inputImage), input - audio);
  const cached = count(usage.cachedInput);
  const cachedAudio = Math.min(count(usage.cachedInputAudio), cached);
  const write1h = count(usage.cacheWrite1h);
  return [
    picoCost(input - audio - image, rates.input),
    picoCost(audio, rates.inputAudio),
    picoCost(image, rates.inputImage),
    picoCost(cached - cachedAudio, rates.cachedInput),
    picoCost(cachedAudio, rates.cachedInputAudio),
    picoCost(cacheWrite - write1h, rates.cacheWrite),
    picoCost(write1h, rates.cacheWrite1h),
  ].reduce(addMoney);
}

/** Pico-USD of all output. Some providers count reasoning beside output instead of in it: the larger figure is billed. */
function outputCost(rates: Rates, usage: Usage): number {
  const output = Math.max(count(usage.output), count(usage.reasoning), count(usage.outputAudio) + count(usage.outputImage));
  const audio = Math.min(count(usage.outputAudio), output);
  const image = Math.min(count(usage.outputImage), output - audio);
  const reasoning = Math.min(count(usage.reasoning), output - audio - image);
  return [
    picoCost(output - audio - image - reasoning, rates.output),
    picoCost(audio, rates.outputAudio),
    picoCost(image, rates.outputImage),
    picoCost(reasoning, rates.reasoning),
  ].reduce(addMoney);
}

/**
 * What a call cost, in nano-USD, rounded up once at the end. All input tokens (input, cached and written) choose the tier.
 * Impossible figures never lower the cost: a negative figure counts as 0. A part that is larger than its class is cut to the
 * class; a part of output or of cache writes enlarges it. Web searches without a known price cost nothing here, because a
 * capped key may not use them (bound.ts). Throws MoneyOverflow, also for NaN.
 */
export function costOf(price: ModelPrice, usage: Usage): NanoUsd {
  const cacheWrite = Math.max(count(usage.cacheWrite), count(usage.cacheWrite1h));
  const rates = ratesFor(price, count(usage.input) + count(usage.cachedInput) + cacheWrite);
  const tokens = picoToNano(addMoney(inputCost(rates, usage, cacheWrite), outputCost(rates, usage)));
  return addMoney(tokens, picoCost(count(usage.webSearches), price.webSearch ?? 0));
}
