import type { Need } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import { affordableOutput, upperBound } from '../../core/price/bound.ts';
import { type Demand, type Overhead, withCalls } from '../../core/price/demand.ts';
import type { OutputLimits } from '../../core/price/output-limit.ts';
import type { ModelPrice } from '../../core/price/types.ts';

/** Agents offer web search in every call without a limit. Few searches happen, and each allowed call adds to the reservation. */
const maxToolCalls = 5;

/** One place where the call may be billed. */
export interface Priced {
  readonly price: ModelPrice;
  readonly overhead: Overhead;
}

/** The amounts that a call needs: with its lowest, its preferred and its highest output limit. */
export type Levels = Pick<Need, 'atLeastNano' | 'preferredNano' | 'boundNano'>;

/** What a call may be sent with for an amount of money. */
interface Terms {
  readonly outputTokens: number;
  /** The limit for calls of hosted tools without one; undefined: the request offers none. */
  readonly toolCalls: number | undefined;
}

/** What one call may cost at every candidate, by the output limit with which it is sent. Pure. */
export class Quote {
  readonly #candidates: readonly Priced[];
  readonly #demand: Demand;
  readonly #limits: OutputLimits;
  readonly #levels: Levels;

  private constructor(candidates: readonly Priced[], demand: Demand, limits: OutputLimits, levels: Levels) {
    this.#candidates = candidates;
    this.#demand = demand;
    this.#limits = limits;
    this.#levels = levels;
  }

  /** Quotes a call, or says why it has no bound. Never throws. */
  static make(candidates: readonly Priced[], demand: Demand, limits: OutputLimits): Quote | string {
    const most = boundAt(candidates, withCalls(demand, maxToolCalls), limits.max);
    if (typeof most === 'string') return most;
    // A lower limit and fewer calls never cost more, so these have a bound too.
    const at = (outputTokens: number): NanoUsd => Number(boundAt(candidates, withCalls(demand, 1), outputTokens));
    const fixed = limits.floor === limits.max && demand.openCalls === undefined;
    const atLeastNano = fixed ? most : at(limits.floor);
    return new Quote(candidates, demand, limits, { atLeastNano, preferredNano: fixed ? most : at(limits.preferred), boundNano: most });
  }

  get levels(): Levels {
    return this.#levels;
  }

  /** The largest terms that this amount, at least `levels.atLeastNano`, pays for. */
  termsFor(nano: NanoUsd): Terms {
    const toolCalls = this.#toolCallsFor(nano);
    if (nano >= this.#levels.boundNano) return { outputTokens: this.#limits.max, toolCalls };
    const demand = toolCalls === undefined ? this.#demand : withCalls(this.#demand, toolCalls);
    return { outputTokens: Math.min(this.#limits.max, this.#affordable(demand, nano)), toolCalls };
  }

  /** What the caller can do to fit this amount. */
  advice(nano: NanoUsd): string {
    const affordable = this.#affordable(withCalls(this.#demand, 1), nano);
    if (this.#limits.max === 0 || affordable < 1) return 'Send less input.';
    return `At most ${affordable} output tokens are affordable, and an answer needs ${this.#limits.floor}: send less input, or ask for less output.`;
  }

  /** As many calls of hosted tools as the amount pays for beside the preferred output; at least one. */
  #toolCallsFor(nano: NanoUsd): number | undefined {
    if (this.#demand.openCalls === undefined) return undefined;
    let toolCalls = maxToolCalls;
    while (toolCalls > 1 && Number(boundAt(this.#candidates, withCalls(this.#demand, toolCalls), this.#limits.preferred)) > nano)
      toolCalls -= 1;
    return toolCalls;
  }

  #affordable(demand: Demand, nano: NanoUsd): number {
    return Math.min(...this.#candidates.map(({ price, overhead }) => affordableOutput(price, demand, overhead, nano)));
  }
}

/** The dearest candidate's bound, or why one has none. */
function boundAt(candidates: readonly Priced[], demand: Demand, outputTokens: number): NanoUsd | string {
  let dearest = 0;
  for (const { price, overhead } of candidates) {
    const bound = upperBound(price, demand, overhead, outputTokens);
    if (typeof bound !== 'number') return bound.reason;
    dearest = Math.max(dearest, bound);
  }
  return dearest;
}
