import type { Shortage } from '../budget/types.ts';
import type { RefusalCode } from '../errors.ts';
import type { NanoUsd } from '../money.ts';
import type { KeyName, StreamId } from '../names.ts';

/** A request for money, requests and tokens for one stream. The ledger grants only after it holds the stream up to `head`. */
export interface GrantRequest extends Omit<Shortage, 'kind'> {
  readonly stream: StreamId;
  readonly epoch: number;
  /** Seq of the last entry that the proxy wrote; -1 if there is none. */
  readonly head: number;
  /** Idempotency key: the same request sent twice gets the same grant. */
  readonly askId: string;
  /** The call behind the request, as it waits; absent: the request takes what is there now. */
  readonly wait?: GrantWait;
}

/** How long a call has waited so far, and may wait in all. */
export interface CallAge {
  readonly waitedMs: number;
  readonly maxWaitMs: number;
}

/** How a request for a grant waits in the ledger. */
export interface GrantWait extends CallAge {
  /** If others hold what is lacking, the ledger answers so much later, unless it can grant before. 0: it answers at once. */
  readonly holdMs: number;
  /** Younger calls of the same key that lack less, by age. The grant may be for one of them instead. */
  readonly others: readonly WaitingNeed[];
}

/** What a call lacks that waits behind another one. */
export interface WaitingNeed
  extends CallAge,
    Pick<Shortage, 'atLeastNano' | 'preferredNano' | 'boundNano' | 'atLeastRequests' | 'tokens'> {}

/** Maximum of others in one request. */
export const maxOthers = 7;

export interface Grant {
  readonly id: string;
  readonly key: KeyName;
  readonly amountNano: NanoUsd;
  /** Requests that it may admit; absent: not limited. */
  readonly requests?: number;
  /** Tokens of the per-minute rate; absent: not limited. */
  readonly tokens?: number;
  /** It admits calls from this many milliseconds after the holder sent the request, on its monotonic clock… */
  readonly validAfterMs: number;
  /** …until this many: the earliest window end on the path. Absent: no end. */
  readonly validForMs?: number;
  /** Left in the tightest window of the path after this grant, for the remaining header; absent: uncapped. */
  readonly remainderNano?: NanoUsd;
}

/** A denial of the ledger, with what the caller needs to know. */
export interface GrantDenial {
  readonly code: Extract<
    RefusalCode,
    | 'budget_exhausted'
    | 'quota_exhausted'
    | 'budget_reserved'
    | 'rate_limited'
    | 'request_too_expensive'
    | 'grant_unavailable'
    | 'key_revoked'
  >;
  /** The account that refused, e.g. `agents/bot Day`. */
  readonly limitedBy: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
  /** What can still be reserved now. */
  readonly availableNano: NanoUsd;
  /** What could be reserved if all that is in flight came back. Absent: money is not what is short. */
  readonly potentialNano?: NanoUsd;
}

export type GrantReply = { readonly grant: Grant } | { readonly denial: GrantDenial };

/** The current figures of a key's accounts, for `GET /keyforge/v1/self`. */
export interface AccountView {
  readonly key: KeyName;
  readonly accounts: readonly {
    readonly key: KeyName;
    readonly window: string;
    readonly windowStart: string;
    readonly windowEnd?: string;
    readonly capNanoUsd?: string;
    readonly spentNanoUsd: string;
    readonly outstandingNanoUsd: string;
    readonly burnedNanoUsd: string;
    readonly requestsUsed: number;
    readonly requestsCap?: number;
  }[];
}
