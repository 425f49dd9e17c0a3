import type { NanoUsd } from '../money.ts';

/** What one call needs before it may be sent. */
export interface Need {
  /** The smallest useful reservation; equals boundNano if the caller fixed its output limit. */
  readonly atLeastNano: NanoUsd;
  /** Enough that nobody will notice the lowered limit: for this much the call waits half of its time. From atLeastNano to boundNano. */
  readonly preferredNano: NanoUsd;
  /** The upper bound of the call's cost; 0 if it costs nothing. */
  readonly boundNano: NanoUsd;
  /** 1 if the call counts towards request quotas and rates. */
  readonly requests: 0 | 1;
  /** Estimated tokens for tokens-per-minute; 0 if the key has no such rate. */
  readonly tokens: number;
}

/** What one attempt holds until it settles. It exists in memory and in the spool's open record. */
export interface Reservation {
  readonly parts: readonly { readonly grant: string; readonly nano: NanoUsd }[];
  /** The grant that counted the request and its tokens; absent if nothing was counted. */
  readonly counted?: { readonly grant: string; readonly requests: 0 | 1; readonly tokens: number };
  /** Sum of parts. */
  readonly amountNano: NanoUsd;
}

/** What the wallet lacks beyond what it has free. The proxy sends it to the ledger unchanged. */
export interface Shortage {
  readonly kind: 'shortage';
  /** What the proxy already has free for this call, not part of the figures below. It only changes the wording of a denial. */
  readonly heldNano?: NanoUsd;
  /** If less than this is available, the ledger denies. */
  readonly atLeastNano: NanoUsd;
  /** While this much may come back, the ledger gives no less to a call with time to wait. */
  readonly preferredNano: NanoUsd;
  /** The bound of the requesting call; the ledger grants at least this much if the remainder allows. */
  readonly boundNano: NanoUsd;
  /** What the proxy wants to hold: bound + peak reserved in the last minute + horizon × spend rate. */
  readonly wantNano: NanoUsd;
  readonly atLeastRequests: 0 | 1;
  readonly wantRequests: number;
  /** Estimated tokens of the call for tokens-per-minute. */
  readonly tokens: number;
}
