import { addMoney, type NanoUsd, picoCost, picoToNano } from '../money.ts';
import { billedFees } from './fees.ts';
import type { ModelPrice, Rates, Serving, Usage } from './types.ts';

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

/** A part of a class, and its rate; an unknown rate costs the dearest of its direction. */
type Part = readonly [tokens: number, rate: number | undefined];

/** Pico-USD of a class: each part at its own rate, cut to what is left of the class, and the rest at the class's. */
function classCost(tokens: number, rate: number, dearest: number, parts: readonly Part[]): number {
  let left = tokens;
  let pico = 0;
  for (const [part, partRate = dearest] of parts) {
    const counted = Math.min(part, left);
    left -= counted;
    pico = addMoney(pico, picoCost(counted, partRate));
  }
  return addMoney(pico, picoCost(left, rate));
}

function dearestOf(rates: readonly (number | undefined)[]): number {
  return Math.max(...rates.filter((rate) => rate !== undefined));
}

/** Pico-USD of all input: uncached, cached and written. */
function inputCost(rates: Rates, usage: Usage, cacheWrite: number): number {
  const { input, cachedInput, cacheWrite1h, inputAudio, cachedInputAudio, inputImage, inputVideo, inputDocument } = rates;
  const dearest = dearestOf([input, inputAudio, inputImage, inputVideo, inputDocument]);
  return [
    classCost(count(usage.input), input, dearest, [
      [count(usage.inputAudio), inputAudio],
      [count(usage.inputImage), inputImage],
      [count(usage.inputVideo), inputVideo],
      [count(usage.inputDocument), inputDocument],
    ]),
    classCost(count(usage.cachedInput), cachedInput, dearest, [[count(usage.cachedInputAudio), cachedInputAudio ?? inputAudio]]),
    classCost(cacheWrite, rates.cacheWrite, dearest, [[count(usage.cacheWrite1h), cacheWrite1h]]),
  ].reduce(addMoney);
}

/** Pico-USD of all output. Some providers count reasoning beside output instead of in it: the larger figure is billed. */
function outputCost(rates: Rates, usage: Usage): number {
  const audio = count(usage.outputAudio);
  const image = count(usage.outputImage);
  const output = Math.max(count(usage.output), count(usage.reasoning), audio + image);
  const dearest = dearestOf([rates.output, rates.outputAudio, rates.outputImage]);
  return classCost(output, rates.output, dearest, [
    [audio, rates.outputAudio],
    [image, rates.outputImage],
    [count(usage.reasoning), rates.reasoning],
  ]);
}

/** Percent of a way of serving whose price the book does not know: the dearest of any model. */
const dearestPercent: Readonly<Record<Serving, number>> = { flex: 100, priority: 250, fast: 600, us: 110 };

/**
 * What a call cost, in nano-USD, rounded up. All input tokens (input, cached and written) choose the tier. A provider's own
 * figure is the cost, also if it is 0.
 * Impossible figures never lower the cost: a negative figure counts as 0. A part that is larger than its class is cut to the
 * class; a part of output or of cache writes enlarges it. Throws MoneyOverflow, also for NaN.
 */
export function costOf(price: ModelPrice, usage: Usage): NanoUsd {
  if (usage.namedCostNano !== undefined) return addMoney(usage.namedCostNano, 0);
  const cacheWrite = Math.max(count(usage.cacheWrite), count(usage.cacheWrite1h));
  const rates = ratesFor(price, count(usage.input) + count(usage.cachedInput) + cacheWrite);
  const nano = picoToNano(addMoney(inputCost(rates, usage, cacheWrite), outputCost(rates, usage)));
  const served = (usage.servings ?? []).reduce((sum, serving) => {
    return Math.ceil(picoCost(sum, price.percent[serving] ?? dearestPercent[serving]) / 100);
  }, nano);
  return addMoney(served, billedFees(price, usage.fees ?? {}));
}
