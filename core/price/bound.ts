import { addMoney, MoneyOverflow, type NanoUsd, picoCost, picoToNano } from '../money.ts';
import type { Demand, Overhead } from './demand.ts';
import type { ModelPrice, Rates } from './types.ts';

/** Why no upper bound exists. A capped key's call is then refused. */
interface Unbounded {
  readonly kind: 'unbounded';
  /** For people, without a full stop. */
  readonly reason: string;
}

/** One tier that the call could be billed at. */
interface Line {
  /** The whole input at the tier's dearest rate. */
  readonly inputPico: number;
  /** Pico-USD for each token of the output limit, over all choices. */
  readonly perTokenPico: number;
}

interface Bounds {
  readonly kind: 'bounds';
  readonly lines: readonly Line[];
  readonly searchesNano: NanoUsd;
}

// Above this many nano-USD an amount has no exact pico-USD.
const maxNano = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

function unbounded(reason: string): Unbounded {
  return { kind: 'unbounded', reason };
}

/** Maximum of input tokens that the call can be billed; NaN or Infinity if a figure of the demand is not finite. */
function inputTokens(demand: Demand, overhead: Overhead, contextTokens: number): number {
  const given = demand.textTokens + demand.mediaTokens + demand.images * overhead.tokensPerImage + overhead.fixedTokens;
  const counted = given + (demand.searchTokens ?? 0);
  return Math.ceil(Math.max(counted, demand.wholeContext ? contextTokens : 0) * Math.max(1, demand.inputReads));
}

/**
 * The dearest way to bill one input token. Cache writes always count, because newer OpenAI models bill them even if the
 * request does not ask for them. The one-hour rate counts only if the request sets it.
 */
function dearestInput(rates: Rates, demand: Demand): number {
  const media = demand.images > 0 || demand.mediaTokens > 0 || demand.wholeContext;
  return Math.max(
    rates.input,
    rates.cachedInput,
    rates.cacheWrite,
    demand.cacheWrite === '1h' ? rates.cacheWrite1h : 0,
    media ? rates.inputImage : 0,
    demand.audioInput ? Math.max(rates.inputAudio, rates.cachedInputAudio) : 0,
  );
}

function dearestOutput(rates: Rates, demand: Demand): number {
  return Math.max(rates.output, rates.reasoning, demand.audioOutput ? rates.outputAudio : 0, demand.imageOutput ? rates.outputImage : 0);
}

/** Throws MoneyOverflow. */
function boundsOf(price: ModelPrice, demand: Demand, overhead: Overhead): Bounds | Unbounded {
  if (demand.unmeterable !== undefined) return unbounded(demand.unmeterable);
  if (demand.wholeContext && price.contextTokens === undefined) {
    return unbounded('the request refers to content of unknown size, and the context size of the model is unknown');
  }
  if (demand.webSearches === null || demand.openSearches !== undefined) return unbounded('the request sets no limit on web searches');
  if (demand.webSearches > 0 && price.webSearch === undefined) return unbounded('the price of a web search is unknown for this model');
  const tokens = inputTokens(demand, overhead, price.contextTokens ?? 0);
  const reachable = [price.rates, ...price.tiers.filter((tier) => tokens > tier.above).map((tier) => tier.rates)];
  return {
    kind: 'bounds',
    lines: reachable.map((rates) => ({
      inputPico: picoCost(tokens, dearestInput(rates, demand)),
      perTokenPico: picoCost(demand.choices, dearestOutput(rates, demand)),
    })),
    searchesNano: picoCost(demand.webSearches, price.webSearch ?? 0),
  };
}

/** Runs a computation that may overflow. An amount beyond the range of money is no bound. */
function bounded<T>(compute: () => T): T | Unbounded {
  try {
    return compute();
  } catch (error) {
    if (error instanceof MoneyOverflow) return unbounded('the maximum cost of the request is too large to count');
    throw error;
  }
}

/**
 * The most that a call can be billed (invariant I3), if the provider honours `outputTokens` as the limit of each choice.
 * It never shrinks when a figure of the demand grows. Never throws.
 */
export function upperBound(price: ModelPrice, demand: Demand, overhead: Overhead, outputTokens: number): NanoUsd | Unbounded {
  return bounded(() => {
    const bounds = boundsOf(price, demand, overhead);
    if (bounds.kind === 'unbounded') return bounds;
    const dearest = bounds.lines.map((line) => addMoney(line.inputPico, picoCost(outputTokens, line.perTokenPico)));
    return addMoney(picoToNano(Math.max(...dearest)), bounds.searchesNano);
  });
}

/** The largest output limit of each choice whose upper bound fits the funds; -1 if not even 0 fits or there is no bound. */
export function affordableOutput(price: ModelPrice, demand: Demand, overhead: Overhead, fundsNano: NanoUsd): number {
  const bounds = bounded(() => boundsOf(price, demand, overhead));
  if (bounds.kind === 'unbounded') return -1;
  const fundsPico = Math.min(fundsNano - bounds.searchesNano, maxNano) * 1000;
  let max = Number.MAX_SAFE_INTEGER;
  for (const line of bounds.lines) {
    if (fundsPico < line.inputPico) return -1;
    if (line.perTokenPico > 0) max = Math.min(max, Math.floor((fundsPico - line.inputPico) / line.perTokenPico));
  }
  return max;
}
