import type { Need } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import { Bound } from '../../core/price/bound.ts';
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
  /** With the fewest calls of hosted tools. */
  readonly #least: readonly Bound[];
  readonly levels: Levels;

  private constructor(request: QuotedRequest, least: readonly Bound[], levels: Levels) {
    this.#candidates = request.candidates;
    this.#demand = request.demand;
    this.#limits = request.limits;
    this.#least = least;
    this.levels = levels;
  }

  /** Quotes a call, or says why it has no bound. Never throws. */
  static make(candidates: readonly Priced[], demand: Demand, limits: OutputLimits): Quote | string {
    const most = boundsOf(candidates, withCalls(demand, maxToolCalls));
    if (typeof most === 'string') return most;
    const boundNano = dearest(most, limits.max);
    if (typeof boundNano === 'string') return boundNano;
    // A lower limit and fewer calls never cost more, so these have a bound too.
    const least = demand.openCalls === undefined ? most : boundsOf(candidates, withCalls(demand, 1));
    if (typeof least === 'string') return least;
    const at = (outputTokens: number): NanoUsd =>
      least === most && outputTokens === limits.max ? boundNano : Number(dearest(least, outputTokens));
    const levels = { atLeastNano: at(limits.floor), preferredNano: at(limits.preferred), boundNano };
    return new Quote({ candidates, demand, limits }, least, levels);
  }

  /** The largest terms that this amount, at least `levels.atLeastNano`, pays for. */
  termsFor(nano: NanoUsd): Terms {
    const toolCalls = this.#toolCallsFor(nano);
    if (nano >= this.levels.boundNano) return { outputTokens: this.#limits.max, toolCalls };
    const bounds = toolCalls === undefined ? this.#least : this.#with(toolCalls);
    return { outputTokens: Math.min(this.#limits.max, affordable(bounds, nano)), toolCalls };
  }

  /** What the caller can do to fit this amount. */
  advice(nano: NanoUsd): string {
    const tokens = affordable(this.#least, nano);
    if (this.#limits.max === 0 || tokens < 1) return inputAdvice(this.#demand);
    return `At most ${tokens} output tokens are affordable, and an answer needs ${this.#limits.floor}: send less input, or ask for less output.`;
  }

  /** As many calls of hosted tools as the amount pays for beside the preferred output; at least one. */
  #toolCallsFor(nano: NanoUsd): number | undefined {
    if (this.#demand.openCalls === undefined) return undefined;
    let toolCalls = maxToolCalls;
    while (toolCalls > 1 && Number(dearest(this.#with(toolCalls), this.#limits.preferred)) > nano) toolCalls -= 1;
    return toolCalls;
  }

  #with(toolCalls: number): readonly Bound[] {
    const bounds = boundsOf(this.#candidates, withCalls(this.#demand, toolCalls));
    if (typeof bounds === 'string') throw new Error(`a call with fewer hosted calls has no bound: ${bounds}`);
    return bounds;
  }
}

/** What makes the input cost less. */
function inputAdvice({ inputReads, openCalls, toolTokens, stored }: Demand): string {
  if (toolTokens === undefined && (inputReads > 1 || openCalls !== undefined))
    return 'Hosted tools add results of unknown size, so that each reading counts as the model’s whole context: limit them (max_content_tokens of a web fetch, fewer calls), leave them out, or choose a model with a smaller context.';
  if (stored !== undefined)
    return 'Content of unknown size, such as a file, an address or an earlier answer, counts as the model’s whole context: send it in the request instead.';
  if (inputReads > 1)
    return 'Each call of a hosted tool reads the input again: allow fewer (max_tool_calls, max_uses), leave the tool out, or send less input.';
  return 'Send less input.';
}

interface QuotedRequest {
  readonly candidates: readonly Priced[];
  readonly demand: Demand;
  readonly limits: OutputLimits;
}

/** Every candidate's bound, or why one has none. */
function boundsOf(candidates: readonly Priced[], demand: Demand): readonly Bound[] | string {
  const bounds: Bound[] = [];
  for (const { price, overhead } of candidates) {
    const bound = Bound.of(price, demand, overhead);
    if (!(bound instanceof Bound)) return bound.reason;
    bounds.push(bound);
  }
  return bounds;
}

/** The dearest candidate's bound, or why one has none. */
function dearest(bounds: readonly Bound[], outputTokens: number): NanoUsd | string {
  let most = 0;
  for (const bound of bounds) {
    const nano = bound.at(outputTokens);
    if (typeof nano !== 'number') return nano.reason;
    most = Math.max(most, nano);
  }
  return most;
}

/** The largest output limit that fits the amount at every candidate; -1: not even 0 does. */
function affordable(bounds: readonly Bound[], nano: NanoUsd): number {
  return Math.min(...bounds.map((bound) => bound.affordable(nano)));
}
