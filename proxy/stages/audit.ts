import { hash } from 'node:crypto';
import type { Attempt, CallBody, PaidFrom } from '../../core/audit/types.ts';
import type { TokenId } from '../../core/key.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { CallCode } from '../metrics.ts';
import type { Settlement } from './settle.ts';
import type { AttemptFact } from './upstream-types.ts';

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

/** The body of a call's entry (contract: DESIGN 8). No prompt text, no credential value. Pure. */
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
    ...(ended.limitedBy === undefined ? {} : { limitedBy: ended.limitedBy }),
    ...(asked.model === undefined ? {} : { model: asked.model }),
    owner: asked.document.owner,
    paidFrom: ended.paidFrom,
    path: asked.document.path,
    policy: asked.document.digest,
    ...(ended.priceBook === undefined ? {} : { priceBook: ended.priceBook }),
    requestId: asked.requestId,
    ...(asked.bytes === undefined ? {} : { requestSha256: hash('sha256', asked.bytes) }),
    ...(ended.responseSha256 === undefined ? {} : { responseSha256: ended.responseSha256 }),
    ...(ended.servedModel === undefined ? {} : { servedModel: ended.servedModel }),
    status: ended.status,
    stream: asked.stream ?? false,
    time: new Date(ended.nowMs).toISOString(),
    tokenId: asked.tokenId,
    ...traceOf(asked.traceparent),
    ...(ended.firstByteMs === undefined ? {} : { ttftMs: ended.firstByteMs - asked.startedMs }),
    type: 'call',
    ...usageOf(settlement),
    v: 1,
  };
}

/** The whole cost belongs to the last attempt: those before it were refused, hence free. */
function attempts({ attempts, settlement }: CallEnded): Attempt[] {
  return attempts.map((attempt, index) => ({
    costNanoUsd: index === attempts.length - 1 ? String(settlement.costNano) : '0',
    credential: attempt.credential,
    pool: attempt.pool,
    ...(attempt.status === undefined ? {} : { status: attempt.status }),
  }));
}

function usageOf({ usage }: Settlement): Pick<CallBody, 'usage'> {
  if (usage === null) return {};
  const { input, cachedInput, cacheWrite, output, reasoning } = usage;
  return { usage: { cacheWrite, cachedInput, input, output, reasoning } };
}

/** W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`. */
function traceOf(traceparent: string | undefined): Pick<CallBody, 'trace'> {
  const match = traceparent === undefined ? null : /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent);
  return match?.[1] === undefined ? {} : { trace: match[1] };
}
