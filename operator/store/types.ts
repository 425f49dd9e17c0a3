import type { Account } from '../../core/budget/account.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import type { KeyName, StreamId, TokenId } from '../../core/names.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';

/**
 * The operator's one durable state. `transaction` is serialisable and durable when it returns: what it wrote survives
 * a power cut. It runs `work` to its end or leaves no trace; `work` must not await anything but the store.
 * SQLite now, PostgreSQL later, one conformance suite.
 */
export interface Store {
  transaction<T>(work: (tx: Tx) => T): T;
  /** Calls back soon after another process wrote anything, and again, ever more seldom, while it answers false; until the store is closed. */
  onForeignWrite(listener: () => boolean): void;
  /** May be called again. */
  close(): void;
}

/** One transaction's view, split by who uses it. */
export interface Tx {
  readonly keys: KeyRows;
  readonly streams: StreamRows;
  readonly ledger: LedgerRows;
  /** Random, made with the store; part of every grant id. */
  readonly incarnation: string;
  /** The clock for window ids: never goes back, whatever the machine's clock does. Milliseconds since the epoch. */
  now(): number;
}

/** What outlives manifests: when a key was first seen, its tokens, sub-agent keys. */
export interface KeyRows {
  /** Grows with every write to these rows, whoever's it is. */
  revision(): number;
  /** First seen in this life: a re-created key starts a new life (ttl, tokens), but keeps its accounts. */
  createdAt(key: KeyName): number | null;
  /** Uid of the object that began this life; null where manifests bear none, or the life began before it was known. */
  uid(key: KeyName): string | null;
  /** Without `uid` the previous one is kept. */
  putCreatedAt(key: KeyName, atMs: number, uid?: string): void;
  /** Every key that has a life: the caller finds those whose manifest was deleted meanwhile. */
  names(): readonly KeyName[];
  /** Ends a life: drops createdAt, the uid and all tokens. */
  forget(key: KeyName): void;
  tokens(key: KeyName): readonly TokenRow[];
  putToken(row: TokenRow): void;
  dropToken(id: TokenId): void;
  children(): readonly ChildRow[];
  putChild(row: ChildRow): void;
  dropChild(key: KeyName): void;
}
export interface TokenRow {
  readonly id: TokenId;
  readonly key: KeyName;
  readonly hint: string;
  readonly createdAtMs: number;
  readonly validUntilMs?: number;
  /** The token itself, sealed under the root key. */
  readonly sealed: Buffer;
}
/** A sub-agent key, or the key of one run. */
export interface ChildRow {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: ChildSpec;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  /** Set on the key of a run: the Pod or Job that it is for, e.g. `Pod research-7d9f`. */
  readonly run?: string;
}

/** Epochs and entries, exactly once. */
export interface StreamRows {
  epoch(stream: StreamId, epoch: number): EpochRow | null;
  /** Newest epoch of a stream. */
  lastEpoch(stream: StreamId): EpochRow | null;
  putEpoch(row: EpochRow): void;
  entry(stream: StreamId, epoch: number, seq: number): EntryRow | null;
  addEntry(row: EntryRow): void;
  /** All entries in storing order, for tail, verify and reports; `after` is a position from a row, 0 from the start. */
  entries(after: number, max: number): readonly (EntryRow & { readonly position: number })[];
  epochs(): readonly EpochRow[];
  /** Epochs in state `open` or `quarantined`, which may hold grants, of one proxy or of all. */
  unsettledEpochs(instance?: string): readonly UnsettledEpoch[];
}
export interface EpochRow {
  readonly stream: StreamId;
  readonly key: KeyName;
  readonly instance: string;
  readonly epoch: number;
  /** Hexadecimal. */
  readonly nonce: string;
  readonly state: 'open' | 'closed' | 'recovered' | 'abandoned' | 'quarantined';
  /** Highest contiguous seq stored; -1 where none. */
  readonly lastSeq: number;
  /** MAC of that entry, 64 hexadecimal digits. */
  readonly lastMac: string;
  /** Ratchet key after that entry, sealed under the root key; hexadecimal. */
  readonly sealedKey: string;
}
export interface UnsettledEpoch extends EpochRow {
  /** When its row was first put, by the store's clock. */
  readonly openedAtMs: number;
}
export interface EntryRow {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly seq: number;
  readonly key: KeyName;
  readonly type: string;
  readonly previousMac: Buffer;
  readonly mac: Buffer;
  readonly salt: Buffer;
  readonly body: Buffer;
}

/** Accounts and grants. The rules are in core/budget; this only keeps rows. */
export interface LedgerRows {
  account(id: string): AccountRow | null;
  putAccount(row: AccountRow): void;
  /** Lifetime accounts, and those of windows but minutes that began at this time or later; by key, window and start. */
  accountsSince(startMs: number): readonly AccountRow[];
  /** The account of a key and window that started last. */
  newestAccount(key: KeyName, window: string): AccountRow | null;
  grant(id: string): BookedGrant | null;
  grantByAsk(askId: string): BookedGrant | null;
  putGrant(row: BookedGrant): void;
  /** Grants that still hold something, by stream and epoch. */
  openGrants(stream: StreamId, epoch: number): readonly BookedGrant[];
  /** The epochs of a stream that have grants which still hold something, earliest first, and how many. */
  openEpochs(stream: StreamId): readonly { readonly epoch: number; readonly grants: number }[];
  /** Grants that still hold something of this account, for recall. */
  holders(accountId: string): readonly BookedGrant[];
  /** Grants of a key that hold nothing any more, oldest first. */
  closedGrants(key: KeyName): readonly BookedGrant[];
  /** Drops grants that closed before this time, and Minute accounts that began before it but for each key's newest. */
  prune(beforeMs: number): void;
}
/** `id` is what `accountId` of core/budget makes of the rest. */
export interface AccountRow {
  readonly id: string;
  readonly key: KeyName;
  readonly window: string;
  readonly startMs: number;
  readonly account: Account;
}
