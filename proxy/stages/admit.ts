import type { Need, Reservation } from '../../core/budget/types.ts';
import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import { formatUsd, least, type NanoUsd } from '../../core/money.ts';
import { isCapped } from '../../core/policy/check.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { type Demand, reopened, withKnown } from '../../core/price/demand.ts';
import { type OutputLimits, outputLimits, thinkingWithin } from '../../core/price/output-limit.ts';
import type { InputModality } from '../../core/price/types.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';
import type { Dialect, Facts } from '../dialect/types.ts';
import { type Priced, Quote } from '../money/quote.ts';
import type { ReserveOutcome } from '../money/waiting-calls.ts';
import { countedDemand, isWorthCounting } from './count.ts';
import type { Reachable } from './send.ts';

/** Permission to send one call: its reservation, and the limits of its answer. */
export interface Admission {
  /** Null if the call costs nothing and no quota counts it (`count_tokens`). */
  readonly reservation: Reservation | null;
  /** Where it may be sent, in order: those whose bound the reservation covers. */
  readonly candidates: readonly Reachable[];
  /** The output limit to send; undefined: leave the caller's body unchanged. */
  readonly outputTokens?: number | undefined;
  /** The budget of thinking to send; undefined: leave the caller's. */
  readonly thinkingTokens?: number | undefined;
  /** The limit to set on calls of hosted tools without one; undefined: there are none, or no dollars limit the key. */
  readonly toolCalls?: number | undefined;
  /** The facts as far as the reservation relies on them. */
  readonly facts: Facts;
  /** For `x-keyforge-warnings`. */
  readonly warnings: readonly string[];
}

/** A routed call, and what admission may do for it. */
export interface AdmitInput {
  readonly requestId: string;
  readonly document: KeyDocument;
  readonly dialect: Dialect;
  readonly facts: Facts;
  readonly candidates: readonly Reachable[];
  /** True if the caller would rather be refused than have its output limit lowered. */
  readonly exact: boolean;
  /** Opens the audit stream. */
  ready(): Promise<Refusal | null>;
  /** Reserves at once if the wallet has enough. `wait` false: asks the ledger once. True: waits for what others hold. */
  reserve(need: Need, wait: boolean): Reservation | Promise<ReserveOutcome>;
  /** Has the candidate's provider count the input; null: it cannot or does not. */
  count(candidate: Reachable, affinity: string): Promise<number | null>;
  /** The tokens of an earlier answer and all that it continued; null: unknown. */
  tokensOf(answerId: string): number | Promise<number | null>;
}

/** The output limit if neither caller, policy nor price book names one: every current model supports it. */
const unknownModelOutput = 16_384;

/** A call as far as it is known: where it may go and what it may cost there. */
interface Case {
  readonly input: AdmitInput;
  readonly candidates: readonly Reachable[];
  /** Undefined: nothing limits the output, and no dollars limit the key. */
  readonly limits: OutputLimits | undefined;
  /** Null: it has no bound, and no dollars limit the key. */
  readonly quote: Quote | null;
}

/**
 * Bounds the cost of a call and reserves it. Synchronous if the wallet has enough. If it is short, the provider counts the
 * input where that helps, and the call waits for a limited time.
 */
export function admit(input: AdmitInput): Admission | Refusal | Promise<Admission | Refusal> {
  const { dialect, facts, document } = input;
  // The call is free, but it is recorded: the stream must be open.
  if (!dialect.billed)
    return input.ready().then((unready) => unready ?? { reservation: null, candidates: input.candidates, facts, warnings: [] });
  if (facts.continues === undefined || !isCapped(document)) return reserveFor(input);
  const tokens = input.tokensOf(facts.continues);
  return typeof tokens === 'number' ? reserveFor(continuing(input, tokens)) : tokens.then((found) => reserveFor(continuing(input, found)));
}

/** The call with what its earlier answer adds; null: nobody knows, so it may be the whole context. */
function continuing(input: AdmitInput, tokens: number | null): AdmitInput {
  return tokens === null ? input : { ...input, facts: { ...input.facts, demand: withKnown(input.facts.demand, tokens) } };
}

function reserveFor(input: AdmitInput): Admission | Refusal | Promise<Admission | Refusal> {
  const call = caseOf(input);
  if (isRefusal(call)) return call;
  const need = needOf(call);
  if (isRefusal(need)) return tighten(call, need, null);
  const atOnce = input.reserve({ ...need, atLeastNano: need.preferredNano }, false);
  if (!(atOnce instanceof Promise)) return admitted(call, atOnce);
  return atOnce.then((outcome) => {
    if ('amountNano' in outcome) return admitted(call, outcome);
    return isShortOfMoney(outcome) ? tighten(call, outcome, need) : denied(call, outcome);
  });
}

/** The second try of a call whose bound does not fit: with counted tokens if that may help, and with time to wait. */
async function tighten(call: Case, short: GrantDenial | Refusal, need: Need | null): Promise<Admission | Refusal> {
  const counted = await countedCase(call, fundsIn(call, short));
  const tight = counted === null ? need : needOf(counted);
  if (tight === null || isRefusal(tight)) return (await withFewerCalls(call.input)) ?? tight ?? denied(call, short);
  const waiting = counted ?? call;
  const outcome = await waiting.input.reserve(tight, true);
  if ('amountNano' in outcome) return admitted(waiting, outcome);
  const isTooDear = isShortOfMoney(outcome) && outcome.code !== 'budget_reserved';
  return (isTooDear ? await withFewerCalls(call.input) : null) ?? denied(waiting, outcome);
}

/** The last try of a call that is too dear with as many calls of hosted tools as it allows: with fewer; null: that does not help. */
async function withFewerCalls(input: AdmitInput): Promise<Admission | null> {
  const demand = isCapped(input.document) && !input.exact ? reopened(input.facts.demand) : null;
  if (demand === null) return null;
  const outcome = await reserveFor({ ...input, facts: { ...input.facts, demand } });
  return isRefusal(outcome) ? null : outcome;
}

/** The most that the call could get once calls in flight have settled; infinite if others hold it for now. */
function fundsIn({ input: { document } }: Case, short: GrantDenial | Refusal): NanoUsd {
  const perRequest = document.perRequest.usdNano ?? Number.POSITIVE_INFINITY;
  return isRefusal(short) || short.code === 'budget_reserved'
    ? perRequest
    : Math.min(perRequest, short.potentialNano ?? short.availableNano);
}

async function countedCase(call: Case, fundsNano: NanoUsd): Promise<Case | null> {
  const { input, quote, limits } = call;
  const { facts, dialect } = input;
  const [candidate] = call.candidates;
  if (candidate === undefined || quote === null || limits === undefined) return null;
  if (!isWorthCounting({ candidate, dialect, demand: facts.demand, floor: limits.floor, needed: quote.levels, fundsNano })) return null;
  // The call must use the credential that counts.
  const affinity = facts.affinity ?? input.requestId;
  const tokens = await input.count(candidate, affinity);
  if (tokens === null) return null;
  // The count bounds only what this provider bills, so no other candidate may serve the call.
  const demand = countedDemand(facts.demand, tokens);
  const counted = caseOf({ ...input, facts: { ...facts, demand, affinity }, candidates: [withoutOverhead(candidate)] });
  return isRefusal(counted) ? null : counted;
}

/** A count includes what the provider adds to a request. */
function withoutOverhead(candidate: Reachable): Reachable {
  return { ...candidate, overhead: { ...candidate.overhead, tokens: {} } };
}

/** Judges the request at every candidate, and quotes it. Fails closed on a capped key. */
function caseOf(input: AdmitInput): Case | Refusal {
  const candidates = judged(input);
  if (isRefusal(candidates)) return candidates;
  const limits = limitsOf(input, candidates);
  if (isRefusal(limits)) return limits;
  const priced = candidates.every(isPriced) ? candidates : candidates.filter(isPriced);
  const quote = limits === undefined || priced.length === 0 ? 'its output has no limit' : Quote.make(priced, input.facts.demand, limits);
  if (quote instanceof Quote) return { input, candidates, limits, quote };
  if (!isCapped(input.document)) return { input, candidates, limits, quote: null };
  return refuse('unmeterable_request', `The cost of this call has no bound, and a budget limits ${input.document.key}: ${quote}.`);
}

function isPriced(candidate: Reachable): candidate is Reachable & Priced {
  return candidate.price !== null;
}

/** The candidates that a capped key may use: those with a price, that do nothing beyond what KeyForge has judged. */
function judged({ document, candidates, facts }: AdmitInput): readonly Reachable[] | Refusal {
  if (!isCapped(document)) return candidates;
  const unpriced = candidates.find(({ price }) => price === null);
  if (unpriced !== undefined) {
    return refuse(
      'model_unpriced',
      `The model ${unpriced.model} has no known price, and a budget limits ${document.key}: have a price added to spec.models of ${unpriced.pool.pool}.`,
    );
  }
  if (!candidates.some(isLenient)) return candidates;
  const unjudgedAt = (candidate: Reachable): string | undefined =>
    isLenient(candidate) ? facts.unjudged.find((name) => !candidate.pool.freeFields.includes(name)) : undefined;
  const safe = candidates.filter((candidate) => unjudgedAt(candidate) === undefined);
  const [first] = candidates;
  if (safe.length > 0 || first === undefined) return safe.map((candidate) => withTemplate(candidate, facts));
  return refuse(
    'unmeterable_request',
    `The server of pool ${first.pool.pool} may bill for the field ${JSON.stringify(unjudgedAt(first))}, which KeyForge does not know, and a budget limits ${document.key}: leave the field out, or have it added to spec.freeFields of the pool.`,
  );
}

function isLenient({ provider }: Reachable): boolean {
  return provider.isLenient === true;
}

/** A lenient server may run an open model, whose chat template adds to the request. */
function withTemplate(candidate: Reachable, { templateTokens }: Facts): Reachable {
  if (!isLenient(candidate) || templateTokens === undefined) return candidate;
  const { tokens, ...overhead } = candidate.overhead;
  return { ...candidate, overhead: { ...overhead, tokens: { ...tokens, request: (tokens.request ?? 0) + templateTokens() } } };
}

function limitsOf({ document, dialect, facts, exact }: AdmitInput, candidates: readonly Reachable[]): OutputLimits | undefined | Refusal {
  if (!dialect.generates) return { floor: 0, preferred: 0, max: 0 };
  const asked = facts.maxOutputTokens;
  let ceiling = document.perRequest.outputTokens;
  for (const { price } of candidates) ceiling = least(ceiling, price?.maxOutputTokens);
  if (asked === undefined && !isCapped(document) && ceiling === undefined) return undefined;
  const reasonsByDefault = candidates.some(({ price }) => price?.reasonsByDefault === true);
  const limits = outputLimits({ asked, ceiling, thinking: facts.thinking, reasonsByDefault, exact, fallback: unknownModelOutput });
  if (limits !== null) return limits;
  return refuse(
    'request_too_expensive',
    `This call asks for exactly ${asked} output tokens, and at most ${ceiling} are allowed. Ask for less.`,
  );
}

/** What to reserve, within `perRequest.usd`; the ledger checks the other caps. */
function needOf({ input: { document, facts }, limits, quote }: Case): Need | Refusal {
  const { atLeastNano, preferredNano, boundNano } = quote?.levels ?? { atLeastNano: 0, preferredNano: 0, boundNano: 0 };
  const ceilingNano = document.perRequest.usdNano ?? Number.MAX_SAFE_INTEGER;
  if (atLeastNano > ceilingNano) {
    const advice = quote?.advice(ceilingNano) ?? '';
    return refuse(
      'request_too_expensive',
      `This call could cost $${formatUsd(atLeastNano)}, more than ${document.key} may spend on one request ($${formatUsd(ceilingNano)}). ${advice}`,
    );
  }
  return {
    atLeastNano,
    preferredNano: Math.min(preferredNano, ceilingNano),
    boundNano: Math.min(boundNano, ceilingNano),
    requests: 1,
    tokens: estimateTokens(facts.demand, limits?.max),
  };
}

/** True if a smaller need or a wait may change the answer. */
function isShortOfMoney(outcome: GrantDenial | Refusal): outcome is GrantDenial {
  return (
    !isRefusal(outcome) &&
    (outcome.code === 'budget_exhausted' || outcome.code === 'budget_reserved' || outcome.code === 'request_too_expensive')
  );
}

function admitted(call: Case, reservation: Reservation): Admission {
  const { quote, limits, candidates } = call;
  const { facts, document, dialect } = call.input;
  if (quote === null || limits === undefined || !dialect.generates) return { reservation, candidates, facts, warnings: [] };
  const { outputTokens, toolCalls } = quote.termsFor(reservation.amountNano);
  const asked = facts.maxOutputTokens;
  // Without a cap and without a policy limit, do not add a limit to the caller's body.
  const isFree = !isCapped(document) && asked === undefined && document.perRequest.outputTokens === undefined;
  const limit = isFree || outputTokens === asked ? undefined : outputTokens;
  const thinkingTokens = isFree ? undefined : thinkingWithin(facts.thinking, outputTokens);
  const limited = isCapped(document) ? toolCalls : undefined;
  const warnings: string[] = [];
  if (limited !== undefined) warnings.push(`calls of hosted tools limited to ${limited}`);
  if (limit !== undefined)
    warnings.push(asked === undefined ? `output limit set to ${limit}` : `output limit lowered from ${asked} to ${limit}`);
  if (thinkingTokens !== undefined) warnings.push(`thinking budget lowered to ${thinkingTokens}`);
  return { reservation, candidates, facts, toolCalls: limited, outputTokens: limit, thinkingTokens, warnings };
}

function denied({ quote }: Case, denial: GrantDenial | Refusal): Refusal {
  if (isRefusal(denial)) return denial;
  const { code, message, limitedBy, retryAfterSeconds } = denial;
  const advised = isShortOfMoney(denial) && quote !== null ? `${message}. ${quote.advice(denial.availableNano)}` : message;
  return refuse(code, advised, { ...defined({ retryAfterSeconds }), limitedBy });
}

/** Estimates four bytes a token of prompt, and a short answer. Real use corrects it, and debt delays the next call. */
function estimateTokens(demand: Demand, outputTokens: number | undefined): number {
  let tokens = demand.textTokens;
  for (const modality in demand.media) tokens += demand.media[modality as InputModality] ?? 0;
  return Math.ceil(tokens / 4) + Math.min(outputTokens ?? 0, 256) * demand.choices;
}
