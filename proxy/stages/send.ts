import { isCapped, sharersOf } from '../../core/policy/check.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { Candidate } from '../../core/policy/route.ts';
import type { Overhead } from '../../core/price/demand.ts';
import type { JsonBody } from '../dialect/json.ts';
import { meterLarge, readHeld } from '../dialect/meter.ts';
import type { Changes, Dialect, Facts } from '../dialect/types.ts';
import { upstreamPath } from '../provider/table.ts';
import type { Provider } from '../provider/types.ts';
import type { AttemptFact, Flight, Meters, UpstreamAnswer, UpstreamCall } from '../upstream/types.ts';
import { callUpstream, type UpstreamDeps } from '../upstream/upstream.ts';
import { streamsAll } from './streams-all.ts';

/** A candidate whose provider speaks the caller's dialect. */
export interface Reachable extends Candidate {
  readonly provider: Provider;
  readonly overhead: Overhead;
}

interface SendLimits {
  readonly outputTokens?: number | undefined;
  readonly thinkingTokens?: number | undefined;
  readonly toolCalls?: number | undefined;
}

export interface SendInput {
  /** Of the key whose call it is. */
  readonly document: KeyDocument;
  readonly candidates: readonly Reachable[];
  readonly dialect: Dialect;
  readonly facts: Facts;
  readonly body: JsonBody;
  /** What the reservation pays for. */
  readonly limits: SendLimits;
  readonly headers: readonly string[];
  readonly query: string;
  /** Called with each flight at its start, so that the end of the call can stop or drain it. */
  readonly onFlight: (flight: Flight) => void;
  /** Called before each attempt is sent, to write the open record. If it throws, the call stops. */
  readonly onDispatch: () => void;
  /** Called after an attempt that costs nothing, before the next one is sent. */
  readonly onFree: () => void;
  /** Called before a lost request is sent again; false: no money is left for it. */
  readonly onResend: () => boolean | Promise<boolean>;
}

export interface Sent {
  readonly candidate: Reachable;
  readonly answer: UpstreamAnswer;
  /** The attempts at all candidates. */
  readonly attempts: readonly AttemptFact[];
}

/** Calls the candidates in order. It calls the next only if the last billed nothing, and could not serve the call whatever its request. */
export async function send(deps: UpstreamDeps, input: SendInput): Promise<Sent> {
  const attempts: AttemptFact[] = [];
  let last: Sent | null = null;
  let flight: Flight | null = null;
  for (const candidate of input.candidates) {
    if (last !== null && !maySucceed(candidate, last)) continue;
    // An error within a stream leaves its rest, which nobody reads.
    flight?.stop();
    const restored = input.body.restore();
    if (restored !== null) await restored;
    const call = upstreamCall(input, candidate);
    input.body.drop();
    flight = callUpstream(deps, call);
    input.onFlight(flight);
    const answer = await flight.answer;
    attempts.push(...answer.attempts);
    last = { candidate, answer, attempts };
  }
  if (last === null) throw new Error('a call was routed to no candidate');
  return last;
}

/** True after a provider that rejected or limited every credential, and at another endpoint after one that is overloaded or out of reach. */
function maySucceed({ pool }: Reachable, { answer, candidate }: Sent): boolean {
  if (answer.kind === 'refusal') return answer.refusal.code === 'provider_limited' || answer.refusal.code === 'provider_unauthorized';
  if (answer.kind !== 'answer') return false;
  return answer.isLimit === true || (answer.isOutage === true && pool.endpoint !== candidate.pool.endpoint);
}

function upstreamCall(input: SendInput, candidate: Reachable): UpstreamCall {
  const { dialect, document, facts } = input;
  const path = upstreamPath(candidate.provider, { dialect: dialect.id, model: candidate.upstreamModel, stream: facts.stream });
  if (path === null) throw new Error(`${candidate.provider.kind} does not speak ${dialect.id}`);
  const countsOutput = facts.stream && streamsAll({ facts, request: input.body.value }, candidate);
  const meters: Meters = {
    stream() {
      if (!facts.stream) return null;
      const meter = dialect.meterStream(hidesUsage(facts) ? 'drop' : 'keep');
      if (countsOutput) meter.countOutput();
      return meter;
    },
    large: () => meterLarge(dialect.readUsage),
    whole: (held) => readHeld(dialect, held),
  };
  return {
    key: document.key,
    sharers: sharersOf(document),
    provider: candidate.provider,
    pool: candidate.pool,
    path,
    query: input.query,
    headers: input.headers,
    body: dialect.rewrite(input.body, changes(input, candidate)),
    model: candidate.upstreamModel,
    isLimitedApart: !dialect.billed,
    affinity: facts.affinity,
    meters,
    onAttempt: input.onDispatch,
    onResend: input.onResend,
    onAttemptEnd: ({ outcome }) => {
      if (outcome === 'refused' || outcome === 'not_sent') input.onFree();
    },
  };
}

function changes({ document, facts, limits }: SendInput, { upstreamModel, provider, price }: Reachable): Changes {
  const capped = isCapped(document);
  const { input, output } = price?.rates ?? {};
  const maxPrice = input === undefined || output === undefined ? undefined : { input, output };
  return {
    model: upstreamModel === facts.model ? undefined : upstreamModel,
    maxOutputTokens: limits.outputTokens,
    thinkingTokens: limits.thinkingTokens,
    toolCalls: limits.toolCalls,
    includeUsage: hidesUsage(facts) && provider.sendsUsageUnasked !== true,
    outputField: provider.outputField,
    standardTier: capped && provider.hasDefaultTier?.(upstreamModel) === true,
    maxPrice: capped && provider.choosesHost === true ? maxPrice : undefined,
  };
}

/** True if usage is requested only for the meter and hidden from the caller. */
function hidesUsage({ stream, wantsUsage }: Facts): boolean {
  return stream && !wantsUsage;
}
