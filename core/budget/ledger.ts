import type { NanoUsd } from '../money.ts';
import type { GrantId, KeyName, StreamId } from '../names.ts';
import type { Account, Amounts } from './account.ts';

/** A grant in the ledger. */
export interface BookedGrant {
  readonly id: GrantId;
  /** Idempotency key, unique over all streams. */
  readonly askId: string;
  readonly key: KeyName;
  readonly stream: StreamId;
  readonly epoch: number;
  /** Every account that it was taken from. */
  readonly accounts: readonly string[];
  /** If requests or tokens are absent, they are not limited. An escrow's money shrinks as the child's grants take from it. */
  readonly amount: { readonly nano: NanoUsd; readonly requests?: number; readonly tokens?: number };
  /** What entries have charged, up to the amount. The accounts carry what exceeds it. */
  readonly settled: Amounts;
  /** What was left when its epoch was abandoned, minus what late entries and credits have taken since. */
  readonly burned: Amounts;
  /** True while it holds its part of every account. */
  readonly open: boolean;
  /** Earliest window end on the path. */
  readonly endMs?: number;
  /** The escrow that funds it. */
  readonly escrow?: GrantId;
  /** On an escrow: the child that it is for. */
  readonly escrowFor?: KeyName;
  /** Set once an epoch_recovered entry has charged it; that happens once. */
  readonly recovered?: true;
}

/** Accounts and grants, all within one transaction. A read returns what was last put. */
export interface Ledger {
  account(id: string): Account | null;
  /** The latest account of a key and window kind. */
  newestAccount(key: KeyName, window: string): { readonly startMs: number; readonly account: Account } | null;
  putAccount(id: string, account: Account): void;
  /** Finds a grant by an id that may come from a proxy. */
  grant(id: string): BookedGrant | null;
  putGrant(grant: BookedGrant): void;
  /** Open grants of one epoch of a stream. */
  openGrants(stream: StreamId, epoch: number): readonly BookedGrant[];
  /** Open grants that were taken from this account. */
  holders(accountId: string): readonly BookedGrant[];
}
