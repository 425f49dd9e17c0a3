import { addMoney, MoneyOverflow, type NanoUsd, picoCost, picoToNano } from '../money.ts';
import type { Demand, Overhead } from './demand.ts';
import { feesOf } from './fees.ts';
import type { Feature, InputModality, ModelPrice, Rates } from './types.ts';

/** Why no upper bound exists. A capped key's call is then refused. */
interface Unbounded {
  readonly kind: 'unbounded';
  /** For people, without a full stop. */
  readonly reason: string;
}

/** One tier that the call could be billed at. */
interface Line {
  /** The whole input at the tier's dearest rates, and output that has no limit of its own. */
  readonly fixedPico: number;
  /** Pico-USD for each token of the output limit, over all choices. */
  readonly perTokenPico: number;
}

interface Terms {
  /** Every alternative holds, so the lowest is the bound. Within one, the dearest line counts. */
  readonly alternatives: readonly (readonly Line[])[];
  readonly feesNano: NanoUsd;
  /** Percent of token prices, by the dearest way of serving. */
  readonly servingPercent: number;
  /** Percent of the whole, from bills above their bound. */
  readonly learnedPercent: number;
}

/** The tokens of one reading of the request, by how they can be billed. */
interface Reading {
  readonly textTokens: number;
  readonly media: readonly { readonly modality: InputModality; readonly tokens: number }[];
}

// Above this many nano-USD an amount has no exact pico-USD.
const maxNano = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

class NoBound extends Error {}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** `text` where nothing else is used: every request has a feature to learn about. */
function featuresOf({ features }: Demand): readonly Feature[] {
  return features.length === 0 ? ['text'] : features;
}

function thoughtTokens({ maxOutputTokens }: ModelPrice, { thoughts = 0 }: Demand): number {
  if (thoughts === 0) return 0;
  if (maxOutputTokens === undefined) throw new NoBound('the request names earlier thoughts, and the output limit of the model is unknown');
  return thoughts * maxOutputTokens;
}

function readingOf(price: ModelPrice, demand: Demand, overhead: Overhead): Reading {
  let textTokens = demand.textTokens + (overhead.tokens.request ?? 0) + thoughtTokens(price, demand);
  for (const name of featuresOf(demand)) textTokens += overhead.tokens[name] ?? 0;
  const media: Reading['media'][number][] = [];
  for (const name in demand.media) {
    const modality = name as InputModality;
    media.push({ modality, tokens: demand.media[modality] ?? 0 });
  }
  if (demand.pictures.length > 0)
    media.push({ modality: 'image', tokens: sumOf(demand.pictures.map((size) => overhead.pictureTokens(size))) });
  return { textTokens, media };
}

/**
 * The dearest way to bill one token of text. Cache writes count where the demand says that they can be billed: a dialect
 * also says so where a provider writes without being asked.
 */
function textRate(rates: Rates, demand: Demand): number {
  const { cacheWrite } = demand;
  return Math.max(
    rates.input,
    rates.cachedInput,
    cacheWrite === 'none' ? 0 : rates.cacheWrite,
    cacheWrite === '1h' ? rates.cacheWrite1h : 0,
  );
}

const mediaRates = { image: 'inputImage', audio: 'inputAudio', video: 'inputVideo', document: 'inputDocument' } as const;

/** The dearest way to bill one token of a modality, which a cache may hold too. */
function modalityRate(rates: Rates, modality: InputModality, demand: Demand): number {
  const rate = rates[mediaRates[modality]];
  if (rate === undefined) throw new NoBound(`the price of ${modality} input is unknown for this model`);
  const cached = modality === 'audio' ? (rates.cachedInputAudio ?? 0) : 0;
  return Math.max(rate, cached, textRate(rates, demand));
}

/** The dearest rate of any token in the request, or that hosted tools and stored content may add. */
function dearestInput(rates: Rates, demand: Demand, { media }: Reading): number {
  let dearest = textRate(rates, demand);
  for (const { modality } of media) dearest = Math.max(dearest, modalityRate(rates, modality, demand));
  for (const modality of demand.stored ?? []) if (modality !== 'text') dearest = Math.max(dearest, modalityRate(rates, modality, demand));
  return dearest;
}

function dearestOutput(rates: Rates, demand: Demand): number {
  const { outputImage, outputAudio } = rates;
  let dearest = Math.max(rates.output, rates.reasoning);
  if (demand.anyOutput) dearest = Math.max(dearest, outputImage ?? 0, outputAudio ?? 0);
  for (const modality of demand.outputs) {
    const rate = modality === 'image' ? outputImage : outputAudio;
    if (rate === undefined) throw new NoBound(`the price of ${modality} output is unknown for this model`);
    dearest = Math.max(dearest, rate);
  }
  return dearest;
}

function contextOf({ contextTokens }: ModelPrice): number {
  if (contextTokens === undefined)
    throw new NoBound('the request refers to content of unknown size, and the context size of the model is unknown');
  return contextTokens;
}

/** Input tokens of every reading in all, without the output that later readings repeat. */
interface Readings {
  readonly first: Reading;
  /** The first reading's tokens, or the context that bounds them. */
  readonly firstTokens: number;
  readonly furtherTokens: number;
  /** How many readings repeat the output so far. */
  readonly repeats: number;
}

/** The ways to bound what all readings have: by what the tools may add, and by the model's context. */
function readingsOf(price: ModelPrice, demand: Demand, overhead: Overhead): readonly Readings[] {
  const first = readingOf(price, demand, overhead);
  let given = first.textTokens;
  for (const { tokens } of first.media) given += tokens;
  const firstTokens = demand.stored === undefined ? given : Math.max(given, contextOf(price));
  const isFree = demand.onlyPreviews === true && overhead.freePreviews === true;
  const further = isFree ? 0 : Math.max(0, demand.inputReads - 1);
  if (further === 0) return [{ first, firstTokens, furtherTokens: 0, repeats: 0 }];
  const { toolTokens } = demand;
  const results = Math.min(demand.toolResults ?? further, further);
  // One result before each reading, until there are no more; each stays for all readings that follow.
  const added = (results * (results + 1)) / 2 + results * (further - results);
  const byTools = (each: number): Readings => ({
    first,
    firstTokens,
    furtherTokens: further * firstTokens + each * added,
    repeats: further,
  });
  const byContext = (): Readings => ({ first, firstTokens, furtherTokens: further * Math.max(firstTokens, contextOf(price)), repeats: 0 });
  if (toolTokens === undefined) return [byContext()];
  return price.contextTokens === undefined ? [byTools(toolTokens)] : [byTools(toolTokens), byContext()];
}

/** Output tokens beyond the output limit. */
function extraOutput({ extraOutputTokens, summaries = 0 }: Demand, { maxOutputTokens }: ModelPrice): number {
  if (summaries === 0) return extraOutputTokens;
  if (maxOutputTokens === undefined) throw new NoBound('the provider may write a summary, and the output limit of the model is unknown');
  return extraOutputTokens + summaries * maxOutputTokens;
}

/** Pico-USD of input of known size, each modality at its own rate. */
function knownInput(rates: Rates, demand: Demand, { textTokens, media }: Reading): number {
  let pico = picoCost(Math.ceil(textTokens), textRate(rates, demand));
  for (const { modality, tokens } of media) pico = addMoney(pico, picoCost(Math.ceil(tokens), modalityRate(rates, modality, demand)));
  return pico;
}

/** The line of one tier. Throws MoneyOverflow, and NoBound if a price is unknown. */
function lineOf(rates: Rates, demand: Demand, extraTokens: number, { first, firstTokens, furtherTokens, repeats }: Readings): Line {
  const dearest = dearestInput(rates, demand, first);
  const outputRate = dearestOutput(rates, demand);
  const firstPico = demand.stored === undefined ? knownInput(rates, demand, first) : picoCost(Math.ceil(firstTokens), dearest);
  const perOutput = addMoney(outputRate, picoCost(repeats, dearest));
  return {
    fixedPico: addMoney(addMoney(firstPico, picoCost(Math.ceil(furtherTokens), dearest)), picoCost(extraTokens, perOutput)),
    perTokenPico: picoCost(demand.choices, perOutput),
  };
}

/** Percents one after the other, rounded up. */
function product(percents: readonly number[]): number {
  return percents.reduce((all, percent) => Math.ceil((all * percent) / 100), 100);
}

function servingPercent(price: ModelPrice, demand: Demand): number {
  const asked = demand.servings.map((serving) => {
    const percent = price.percent[serving];
    if (percent === undefined) throw new NoBound(`the price of serving as ${JSON.stringify(serving)} is unknown for this model`);
    return Math.max(100, percent);
  });
  return product(demand.anyPlace === true ? [...asked, Math.max(100, price.percent.us ?? 100)] : asked);
}

function learnedPercent({ learned }: ModelPrice, demand: Demand): number {
  if (learned === undefined) return 100;
  const features = featuresOf(demand);
  const refused = features.find((feature) => learned.refused.includes(feature));
  if (refused !== undefined) {
    throw new NoBound(
      `a bill of this pool for the model with ${JSON.stringify(refused)} was impossibly high, and nobody has acknowledged it`,
    );
  }
  return Math.max(100, ...features.map((feature) => learned.percent[feature] ?? 100));
}

/** Throws MoneyOverflow and NoBound. */
function termsOf(price: ModelPrice, demand: Demand, overhead: Overhead): Terms {
  if (demand.unmeterable !== undefined) throw new NoBound(demand.unmeterable);
  if (demand.openCalls !== undefined) throw new NoBound('the request sets no limit on calls of hosted tools');
  const percents = { servingPercent: servingPercent(price, demand), learnedPercent: learnedPercent(price, demand) };
  const extraTokens = extraOutput(demand, price);
  const alternatives = readingsOf(price, demand, overhead).map((readings) => {
    // Whether a provider chooses the tier by one reading or by all is not documented everywhere: all of them reach more tiers.
    const tokens = readings.repeats > 0 ? Number.POSITIVE_INFINITY : readings.firstTokens + readings.furtherTokens;
    const lines = [lineOf(price.rates, demand, extraTokens, readings)];
    for (const { above, rates } of price.tiers) if (tokens > above) lines.push(lineOf(rates, demand, extraTokens, readings));
    return lines;
  });
  const fees = feesOf(price, demand.fees);
  if (typeof fees === 'string') throw new NoBound(fees);
  return { alternatives, feesNano: fees, ...percents };
}

/** Why a computation found no bound: an amount beyond the range of money is none. Throws any other error again. */
function unbounded(error: unknown): Unbounded {
  if (error instanceof NoBound) return { kind: 'unbounded', reason: error.message };
  if (error instanceof MoneyOverflow) return { kind: 'unbounded', reason: 'the maximum cost of the request is too large to count' };
  throw error;
}

function percentOf(nano: NanoUsd, percent: number): NanoUsd {
  return percent === 100 ? nano : Math.ceil(picoCost(nano, percent) / 100);
}

/**
 * The most that a call can be billed (invariant I3), as a function of the output limit, if the provider honours it as the limit
 * of each choice. It never shrinks when a figure of the demand or the limit grows.
 */
export class Bound {
  readonly #terms: Terms;

  private constructor(terms: Terms) {
    this.#terms = terms;
  }

  /** Bounds a call, or says why it has no bound. Never throws. */
  static of(price: ModelPrice, demand: Demand, overhead: Overhead): Bound | Unbounded {
    try {
      return new Bound(termsOf(price, demand, overhead));
    } catch (error) {
      return unbounded(error);
    }
  }

  /** The bound with this output limit. Never throws. */
  at(outputTokens: number): NanoUsd | Unbounded {
    const { alternatives, feesNano, servingPercent, learnedPercent } = this.#terms;
    let pico = Number.POSITIVE_INFINITY;
    for (const lines of alternatives) pico = Math.min(pico, dearestLine(lines, outputTokens));
    try {
      return percentOf(addMoney(percentOf(picoToNano(pico), servingPercent), feesNano), learnedPercent);
    } catch (error) {
      return unbounded(error);
    }
  }

  /** The largest output limit whose bound fits the funds; -1 if not even 0 fits. */
  affordable(fundsNano: NanoUsd): number {
    const { alternatives, feesNano, servingPercent, learnedPercent } = this.#terms;
    const without = (nano: NanoUsd, percent: number): NanoUsd => Math.floor((nano * 100) / percent);
    const tokensNano = without(without(Math.min(fundsNano, maxNano), learnedPercent) - feesNano, servingPercent);
    const fundsPico = tokensNano * 1000;
    return Math.max(...alternatives.map((lines) => affordableLines(lines, fundsPico)));
  }
}

function dearestLine(lines: readonly Line[], outputTokens: number): number {
  let pico = 0;
  for (const { fixedPico, perTokenPico } of lines) pico = Math.max(pico, fixedPico + outputTokens * perTokenPico);
  return pico;
}

function affordableLines(lines: readonly Line[], fundsPico: number): number {
  let max = Number.MAX_SAFE_INTEGER;
  for (const { fixedPico, perTokenPico } of lines) {
    if (fundsPico < fixedPico) return -1;
    if (perTokenPico > 0) max = Math.min(max, Math.floor((fundsPico - fixedPico) / perTokenPico));
  }
  return max;
}

/** The bound of a call with one output limit. Never throws. */
export function upperBound(price: ModelPrice, demand: Demand, overhead: Overhead, outputTokens: number): NanoUsd | Unbounded {
  const bound = Bound.of(price, demand, overhead);
  return bound instanceof Bound ? bound.at(outputTokens) : bound;
}
