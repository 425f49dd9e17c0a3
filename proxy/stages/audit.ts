import { hash } from 'node:crypto';
import type { Attempt, CallBody, EntryUsage, PaidFrom } from '../../core/audit/types.ts';
import type { TokenId } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { CallCode } from '../metrics.ts';
import type { AttemptFact } from '../upstream/types.ts';
import type { Settlement } from './settle.ts';

/** What an entry says of how a call was asked. */
export interface CallAsked {
  readonly requestId: string;
  readonly startedMs: number;
  readonly document: KeyDocument;
  readonly tokenId: TokenId;
  readonly endpoint: string;
  readonly dialect: string;
  readonly traceparent?: string | undefined;
  readonly bytes?: Buffer | undefined;
  readonly stream?: boolean | undefined;
  readonly model?: string | undefined;
}

/** What an entry says of how it ended. */
export interface CallEnded {
  readonly nowMs: number;
  readonly code: CallCode;
  readonly status: number;
  readonly settlement: Settlement;
  readonly paidFrom: readonly PaidFrom[];
  readonly attempts: readonly AttemptFact[];
  readonly limitedBy?: string | undefined;
  readonly servedModel?: string | undefined;
  readonly priceBook?: string | undefined;
  readonly firstByteMs?: number | undefined;
  readonly responseSha256?: string | undefined;
}

/** The body of a call's entry (contract: DESIGN 8), its members in canonical order. No prompt text, no credential value. Pure. */
export function callBody(asked: CallAsked, ended: CallEnded): CallBody {
  const { settlement } = ended;
  return {
    attempts: attempts(ended),
    code: ended.code,
    costNanoUsd: String(settlement.costNano),
    dialect: asked.dialect,
    endpoint: asked.endpoint,
    estimated: settlement.estimated,
    key: asked.document.key,
    labels: asked.document.labels,
    latencyMs: ended.nowMs - asked.startedMs,
    limitedBy: ended.limitedBy,
    model: asked.model,
    owner: asked.document.owner,
    paidFrom: ended.paidFrom,
    path: asked.document.path,
    policy: asked.document.digest,
    priceBook: ended.priceBook,
    requestId: asked.requestId,
    requestSha256: asked.bytes === undefined ? undefined : hash('sha256', asked.bytes),
    responseSha256: ended.responseSha256,
    run: asked.document.run,
    servedModel: ended.servedModel,
    status: ended.status,
    stream: asked.stream ?? false,
    time: new Date(ended.nowMs).toISOString(),
    tokenId: asked.tokenId,
    trace: traceOf(asked.traceparent),
    ttftMs: ended.firstByteMs === undefined ? undefined : ended.firstByteMs - asked.startedMs,
    type: 'call',
    usage: usageOf(settlement),
    v: 1,
  };
}

/** The whole cost belongs to the last attempt: those before it were refused, hence free. */
function attempts({ attempts, settlement }: CallEnded): Attempt[] {
  return attempts.map((attempt, index) => ({
    costNanoUsd: index === attempts.length - 1 ? String(settlement.costNano) : '0',
    credential: attempt.credential,
    pool: attempt.pool,
    status: attempt.status,
  }));
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
