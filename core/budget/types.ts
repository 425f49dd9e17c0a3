import type { NanoUsd } from '../money.ts';

/** What one call needs before it may be sent. */
export interface Need {
  /** The smallest reservation with which the call makes sense; equals boundNano where the caller fixed its output limit. */
  readonly atLeastNano: NanoUsd;
  /** The upper bound of the call's cost; 0 for what costs nothing. */
  readonly boundNano: NanoUsd;
  /** 1 where the call counts towards request quotas and rates. */
  readonly requests: 0 | 1;
  /** Estimated tokens for tokens-per-minute; 0 where the key has no such rate. */
  readonly tokens: number;
}

/** Held for one attempt until it settles. Lives in memory and in the spool's open record. */
export interface Reservation {
  readonly parts: readonly { readonly grant: string; readonly nano: NanoUsd }[];
  /** The grant that counted the request and its tokens; absent where nothing was counted. */
  readonly counted?: { readonly grant: string; readonly requests: 0 | 1; readonly tokens: number };
  /** Sum of parts. */
  readonly amountNano: NanoUsd;
}

/** What the wallet lacks beyond what it has free: the proxy requests it of the ledger unchanged. */
export interface Shortage {
  readonly kind: 'shortage';
  /** What the proxy has free for this call already, so not part of the figures below; decides only how a denial is worded. */
  readonly heldNano?: NanoUsd;
  /** Less than this is useless: refuse instead. */
  readonly atLeastNano: NanoUsd;
  /** The bound of the requesting call; at least this much where the remainder allows. */
  readonly boundNano: NanoUsd;
  /** What the proxy would like to hold: bound + peak reserved in the last minute + horizon × spend rate. */
  readonly wantNano: NanoUsd;
  readonly atLeastRequests: 0 | 1;
  readonly wantRequests: number;
  /** Estimated tokens of the call for tokens-per-minute. */
  readonly tokens: number;
}
