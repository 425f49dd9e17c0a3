import type { NanoUsd } from '../money.ts';
import type { GrantId, KeyName, StreamId } from '../names.ts';
import type { Account, Amounts } from './account.ts';

/** A grant as the ledger holds it. */
export interface BookedGrant {
  readonly id: GrantId;
  /** Idempotency key, unique over all streams. */
  readonly askId: string;
  readonly key: KeyName;
  readonly stream: StreamId;
  readonly epoch: number;
  /** Every account that it was taken from. */
  readonly accounts: readonly string[];
  /** Requests and tokens absent: not limited. On an escrow the money shrinks as the child's grants take from it. */
  readonly amount: { readonly nano: NanoUsd; readonly requests?: number; readonly tokens?: number };
  /** By entries; within the amount. The accounts carry what went beyond. */
  readonly settled: Amounts;
  /** What was left when its epoch was abandoned, less what late entries and credits took of it. */
  readonly burned: Amounts;
  /** Still holds its part of every account. */
  readonly open: boolean;
  /** Earliest window end on the path. */
  readonly endMs?: number;
  /** The escrow that funds it. */
  readonly escrow?: GrantId;
  /** Set on an escrow: the child that it is for. */
  readonly escrowFor?: KeyName;
  /** Charged by an epoch_recovered already; that happens once. */
  readonly recovered?: true;
}

/** Accounts and grants, all within one transaction. An account or grant that is put is what the next read returns. */
export interface Ledger {
  account(id: string): Account | null;
  /** The account of a key and window kind that started last. */
  newestAccount(key: KeyName, window: string): { readonly startMs: number; readonly account: Account } | null;
  putAccount(id: string, account: Account): void;
  /** By an id that may come from a proxy. */
  grant(id: string): BookedGrant | null;
  putGrant(grant: BookedGrant): void;
  /** Open grants of one epoch of a stream. */
  openGrants(stream: StreamId, epoch: number): readonly BookedGrant[];
  /** Open grants that were taken from this account. */
  holders(accountId: string): readonly BookedGrant[];
}
