import type { Attempt, CallBody, EntryUsage, RecordedBreach } from '../../core/audit/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { AttemptFact } from '../upstream/types.ts';
import type { Settlement } from './settle.ts';

/** The facts of a call's request in its entry. */
export interface CallRequest extends Pick<CallBody, 'requestId' | 'tokenId' | 'endpoint' | 'dialect' | 'model'> {
  readonly startedMs: number;
  readonly document: KeyDocument;
  readonly traceparent?: string | undefined;
  /** Of the body as received; absent: it was not. */
  readonly requestSha256?: string | undefined;
  readonly stream?: boolean | undefined;
}

/** The facts of a call's outcome in its entry. */
export interface CallOutcome
  extends Pick<
    CallBody,
    'answerSha256' | 'breach' | 'code' | 'status' | 'paidFrom' | 'limitedBy' | 'servedModel' | 'priceBook' | 'responseSha256'
  > {
  readonly settlement: Settlement;
  readonly attempts: readonly AttemptFact[];
  readonly firstByteMs?: number | undefined;
  /** For metrics, which carry no caller's text; absent: the model has no name of ours. */
  readonly knownAs?: string | undefined;
}

interface CallEnding {
  readonly nowMs: number;
  /** Counts of its input by a provider, before its attempts. */
  readonly counts: readonly AttemptFact[];
}

/** Makes the body of a call's entry, its members in canonical order. No prompt text, no credential value. Pure. */
export function callBody(request: CallRequest, outcome: CallOutcome, { nowMs, counts }: CallEnding): CallBody {
  const { settlement } = outcome;
  const { document } = request;
  return {
    answerSha256: outcome.answerSha256,
    attempts: attempts(outcome, counts),
    breach: breachOf(outcome),
    code: outcome.code,
    costNanoUsd: String(settlement.costNano),
    dialect: request.dialect,
    endpoint: request.endpoint,
    estimated: settlement.estimated,
    key: document.key,
    labels: document.labels,
    latencyMs: nowMs - request.startedMs,
    limitedBy: outcome.limitedBy,
    model: request.model,
    owner: document.owner,
    paidFrom: outcome.paidFrom,
    path: document.path,
    policy: document.digest,
    priceBook: outcome.priceBook,
    requestId: request.requestId,
    requestSha256: request.requestSha256,
    responseSha256: outcome.responseSha256,
    run: document.run,
    servedModel: outcome.servedModel,
    status: outcome.status,
    stream: request.stream ?? false,
    time: new Date(nowMs).toISOString(),
    tokenId: request.tokenId,
    trace: traceOf(request.traceparent),
    ttftMs: outcome.firstByteMs === undefined ? undefined : outcome.firstByteMs - request.startedMs,
    type: 'call',
    usage: usageOf(settlement),
    v: 1,
  };
}

/** Assigns the cost to the last attempt, less the bound of one that was sent again. The provider rejected all others. */
function attempts({ attempts: sent, settlement }: CallOutcome, counts: readonly AttemptFact[]): Attempt[] {
  const attempts = counts.length === 0 ? sent : [...counts, ...sent];
  const { costNano, lostNano = 0 } = settlement;
  const costOf = ({ outcome }: AttemptFact, index: number): NanoUsd => {
    if (index === attempts.length - 1) return costNano - lostNano;
    return outcome === 'unknown' ? lostNano : 0;
  };
  return attempts.map((attempt, index) => ({
    costNanoUsd: String(costOf(attempt, index)),
    credential: attempt.credential,
    pool: attempt.pool,
    purpose: attempt.purpose,
    status: attempt.status,
  }));
}

function breachOf({ breach }: CallOutcome): RecordedBreach | undefined {
  if (breach === undefined) return undefined;
  const { features, model, percent, pool, possible } = breach;
  return { features, model, percent, pool, possible };
}

function usageOf({ usage }: Settlement): EntryUsage | undefined {
  if (usage === null) return undefined;
  const { input, cachedInput, cacheWrite, output, reasoning } = usage;
  return { cacheWrite, cachedInput, input, output, reasoning };
}

/** W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`. */
function traceOf(traceparent: string | undefined): string | undefined {
  return traceparent === undefined ? undefined : /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent)?.[1];
}
