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

/** One class of tokens: each part is billed at a rate of its own and cut to what is left of the class, the rest at the class's. */
class ClassCost {
  #left: number;
  #pico = 0;

  constructor(tokens: number) {
    this.#left = tokens;
  }

  part(tokens: number, rate: number): this {
    const counted = Math.min(tokens, this.#left);
    this.#left -= counted;
    this.#pico = addMoney(this.#pico, picoCost(counted, rate));
    return this;
  }

  /** Pico-USD of the parts and the rest. */
  rest(rate: number): number {
    return addMoney(this.#pico, picoCost(this.#left, rate));
  }
}

/** Pico-USD of all input: uncached, cached and written. A part without a known rate costs the dearest. */
function inputCost(rates: Rates, usage: Usage, cacheWrite: number): number {
  const { inputAudio, inputImage, inputVideo, inputDocument } = rates;
  const dearest = Math.max(rates.input, inputAudio ?? 0, inputImage ?? 0, inputVideo ?? 0, inputDocument ?? 0);
  const plain = new ClassCost(count(usage.input))
    .part(count(usage.inputAudio), inputAudio ?? dearest)
    .part(count(usage.inputImage), inputImage ?? dearest)
    .part(count(usage.inputVideo), inputVideo ?? dearest)
    .part(count(usage.inputDocument), inputDocument ?? dearest)
    .rest(rates.input);
  const cached = new ClassCost(count(usage.cachedInput))
    .part(count(usage.cachedInputAudio), rates.cachedInputAudio ?? inputAudio ?? dearest)
    .rest(rates.cachedInput);
  const written = new ClassCost(cacheWrite).part(count(usage.cacheWrite1h), rates.cacheWrite1h).rest(rates.cacheWrite);
  return addMoney(addMoney(plain, cached), written);
}

/** Pico-USD of all output. Some providers count reasoning beside output instead of in it: the larger figure is billed. */
function outputCost(rates: Rates, usage: Usage): number {
  const audio = count(usage.outputAudio);
  const image = count(usage.outputImage);
  const output = Math.max(count(usage.output), count(usage.reasoning), audio + image);
  const dearest = Math.max(rates.output, rates.outputAudio ?? 0, rates.outputImage ?? 0);
  return new ClassCost(output)
    .part(audio, rates.outputAudio ?? dearest)
    .part(image, rates.outputImage ?? dearest)
    .part(count(usage.reasoning), rates.reasoning)
    .rest(rates.output);
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
