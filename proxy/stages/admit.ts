import type { Need, Reservation } from '../../core/budget/types.ts';
import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { Candidate } from '../../core/policy/route.ts';
import { affordableOutput, upperBound } from '../../core/price/bound.ts';
import { type Demand, type Overhead, withSearches } from '../../core/price/demand.ts';
import type { ModelPrice } from '../../core/price/types.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';
import type { Dialect, Facts } from '../dialect/types.ts';
import type { Funds } from '../money/funds.ts';
import type { Waiting } from '../money/waiting-calls.ts';

/** Permission to send one call: its reservation, and the limits of its answer. */
export interface Admission {
  /** Null if the call costs nothing and no quota counts it (`count_tokens`). */
  readonly reservation: Reservation | null;
  /** The output limit to send; undefined: leave the caller's body unchanged. */
  readonly outputTokens?: number | undefined;
  /** The limit to set on web searches without one; undefined: there are none, or no dollars limit the key. */
  readonly searches?: number | undefined;
  /** For `x-keyforge-warnings`. */
  readonly warnings: readonly string[];
}

interface AdmitInput {
  readonly document: KeyDocument;
  readonly dialect: Dialect;
  readonly facts: Facts;
  readonly candidates: readonly (Candidate & { readonly overhead: Overhead })[];
  readonly funds: Funds;
  readonly waiting: Waiting;
}

/** The smallest useful output limit of a call that names none. */
const outputFloor = 1024;

/** The output limit if neither caller, policy nor price book names one: every current model supports it. */
const unknownModelOutput = 16_384;

/** Agents offer web search in every call without a limit. Few searches happen, and each allowed search adds to the reservation. */
const maxSearches = 5;

/** Bounds the cost of a call and reserves it. Synchronous, unless the wallet is short: then it requests a grant, within a time limit. */
export function admit(input: AdmitInput): Admission | Refusal | Promise<Admission | Refusal> {
  // The call is free, but it is recorded: the stream must be open.
  if (!input.dialect.billed) return input.funds.ready().then((unready) => unready ?? { reservation: null, warnings: [] });
  const output = outputLimit(input);
  const bounds = boundCall(input, output);
  if (isRefusal(bounds)) return bounds;
  const need: Need = {
    boundNano: bounds.max,
    atLeastNano: bounds.min,
    preferredNano: bounds.min,
    requests: 1,
    tokens: estimateTokens(input.facts.demand, output.max),
  };
  const reserved = input.funds.reserve(need, input.waiting);
  return reserved instanceof Promise
    ? reserved.then((result) => admitted(input, output, bounds, result))
    : admitted(input, output, bounds, reserved);
}

interface OutputLimit {
  /** The caller's own limit, otherwise the largest that policy and model allow; undefined: nothing bounds it. */
  readonly max: number | undefined;
  /** The smallest limit with which the call is useful. */
  readonly min: number | undefined;
  readonly requested: number | undefined;
}

function outputLimit({ document, dialect, facts, candidates }: AdmitInput): OutputLimit {
  if (!dialect.generates) return { max: 0, min: 0, requested: undefined };
  const ceilings = candidates.map(({ price }) => price?.maxOutputTokens).filter((value) => value !== undefined);
  if (document.perRequest.outputTokens !== undefined) ceilings.push(document.perRequest.outputTokens);
  const ceiling = ceilings.length === 0 ? undefined : Math.min(...ceilings);
  const requested = facts.maxOutputTokens;
  if (requested !== undefined) {
    const max = Math.min(requested, ceiling ?? requested);
    return { max, min: max, requested };
  }
  const max = ceiling ?? (isStrict(document) ? unknownModelOutput : undefined);
  return { max, min: max === undefined ? undefined : Math.min(max, outputFloor), requested };
}

interface Bounds {
  readonly max: NanoUsd;
  readonly min: NanoUsd;
}

/** True if dollars limit the key: a call without a bound is then refused. */
function isStrict({ smallestCapNano, perRequest }: KeyDocument): boolean {
  return smallestCapNano !== undefined || perRequest.usdNano !== undefined;
}

/** The dearest candidate's bound, checked against `perRequest.usd`; the ledger checks the other caps. Fails closed on a capped key. */
function boundCall(input: AdmitInput, output: OutputLimit): Bounds | Refusal {
  const { document, candidates, facts } = input;
  const ceilingNano = document.perRequest.usdNano;
  const strict = isStrict(document);
  let max = 0;
  let min = 0;
  for (const candidate of candidates) {
    const { price } = candidate;
    if (price === null) {
      if (!strict) continue;
      return refuse(
        'model_unpriced',
        `The model ${candidate.model} has no known price, and a budget limits ${document.key}: have a price added to spec.models of ${candidate.pool.pool}.`,
      );
    }
    const bounds = candidateBounds(price, candidate.overhead, facts.demand, output);
    if (typeof bounds === 'string') {
      if (!strict) continue;
      return refuse('unmeterable_request', `The cost of this call has no bound, and a budget limits ${document.key}: ${bounds}.`);
    }
    if (ceilingNano !== undefined && bounds.min > ceilingNano) return tooExpensive(input, output, ceilingNano);
    max = Math.max(max, ceilingNano === undefined ? bounds.max : Math.min(bounds.max, ceilingNano));
    min = Math.max(min, bounds.min);
  }
  return { max, min };
}

/** The bounds with the largest and the smallest output limit, or why there are none. */
function candidateBounds(price: ModelPrice, overhead: Overhead, demand: Demand, output: OutputLimit): Bounds | string {
  // This happens only if dollars limit nothing: a capped call always has a limit.
  if (output.max === undefined || output.min === undefined) return 'its output has no limit';
  const max = upperBound(price, withSearches(demand, maxSearches), overhead, output.max);
  if (typeof max !== 'number') return max.reason;
  const fixed = output.min === output.max && demand.openSearches === undefined;
  const min = fixed ? max : upperBound(price, withSearches(demand, 1), overhead, output.min);
  return typeof min === 'number' ? { max, min } : min.reason;
}

function tooExpensive(input: AdmitInput, output: OutputLimit, limit: NanoUsd): Refusal {
  return refuse(
    'request_too_expensive',
    `This call could cost more than ${input.document.key} may spend on one request ($${formatUsd(limit)}). ${advice(affordableAt(input, limit), output)}`,
  );
}

/** The output limit that this amount pays for at every candidate with a price. */
function affordableAt({ facts, candidates }: AdmitInput, fundsNano: NanoUsd): number {
  const demand = withSearches(facts.demand, 1);
  const priced = candidates.flatMap(({ price, overhead }) => (price === null ? [] : { price, overhead }));
  return Math.min(...priced.map(({ price, overhead }) => affordableOutput(price, demand, overhead, fundsNano)));
}

function advice(affordable: number, output: OutputLimit): string {
  if (output.max === 0 || affordable < 1) return 'Send less input.';
  return `At most ${affordable} output tokens are affordable: lower the output limit to that, or send less input.`;
}

function admitted(
  input: AdmitInput,
  output: OutputLimit,
  bounds: Bounds,
  result: Reservation | GrantDenial | Refusal,
): Admission | Refusal {
  if (isRefusal(result)) return result;
  if ('code' in result) return denied(input, output, result);
  const { facts } = input;
  const searches = searchesWithin(input, output, result.amountNano);
  const demand = searches === undefined ? facts.demand : withSearches(facts.demand, searches);
  const limit = limitWithin({ ...input, facts: { ...facts, demand } }, output, bounds, result.amountNano);
  const warnings = searches === undefined ? [] : [`web searches limited to ${searches}`];
  if (limit === undefined || limit === output.requested || !input.dialect.generates) return { reservation: result, searches, warnings };
  warnings.push(
    output.requested === undefined ? `output limit set to ${limit}` : `output limit lowered from ${output.requested} to ${limit}`,
  );
  return { reservation: result, searches, outputTokens: limit, warnings };
}

/** The searches that the reservation pays for beside the whole output. If it pays for none, the output limit shrinks to allow one. */
function searchesWithin({ document, facts, candidates }: AdmitInput, output: OutputLimit, heldNano: NanoUsd): number | undefined {
  if (facts.demand.openSearches === undefined || !isStrict(document)) return undefined;
  const fits = (searches: number): boolean =>
    candidates.every(({ price, overhead }) => {
      const bound = price === null ? 0 : upperBound(price, withSearches(facts.demand, searches), overhead, output.max ?? 0);
      return typeof bound === 'number' && bound <= heldNano;
    });
  let searches = maxSearches;
  while (searches > 1 && !fits(searches)) searches -= 1;
  return searches;
}

/** The output limit that the reservation pays for at every candidate. */
function limitWithin(input: AdmitInput, output: OutputLimit, bounds: Bounds, heldNano: NanoUsd): number | undefined {
  if (output.max === undefined) return undefined;
  // Without a cap and without a policy limit, do not add a limit to the caller's body.
  if (!isStrict(input.document) && output.requested === undefined && input.document.perRequest.outputTokens === undefined) return undefined;
  const full = heldNano >= bounds.max && input.document.perRequest.usdNano === undefined;
  if (full || output.min === output.max) return output.max;
  const affordable = input.candidates.map(({ price, overhead }) =>
    price === null ? output.max : affordableOutput(price, input.facts.demand, overhead, heldNano),
  );
  return Math.min(output.max, ...affordable.filter((value) => value !== undefined));
}

function denied(input: AdmitInput, output: OutputLimit, denial: GrantDenial): Refusal {
  const { code, message, limitedBy, retryAfterSeconds } = denial;
  const money = code === 'budget_exhausted' || code === 'budget_reserved' || code === 'request_too_expensive';
  const priced = input.candidates.some(({ price }) => price !== null);
  const advised = money && priced ? `${message}. ${advice(affordableAt(input, denial.availableNano), output)}` : message;
  return refuse(code, advised, { ...defined({ retryAfterSeconds }), limitedBy });
}

/** Estimates four bytes a token of prompt, and a short answer. Real use corrects it, and debt delays the next call. */
function estimateTokens(demand: Demand, outputTokens: number | undefined): number {
  return Math.ceil((demand.textTokens + demand.mediaTokens) / 4) + Math.min(outputTokens ?? 0, 256) * demand.choices;
}
