import type { Account } from '../../core/budget/account.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import type { KeyName, StreamId, TokenId } from '../../core/names.ts';
import type { Feature } from '../../core/price/types.ts';
import type { ChildSpec } from '../../core/protocol/children.ts';

/**
 * The operator's one durable state. `transaction` is serialisable, and durable when it returns: what it wrote survives
 * a power cut. It runs `work` completely or not at all; `work` must not await anything except the store.
 * SQLite now, PostgreSQL later, one conformance suite.
 */
export interface Store {
  transaction<T>(work: (tx: Tx) => T): T;
  /** Calls back soon after another process wrote. While the listener returns false, it calls again with growing intervals, until it is closed. */
  onForeignWrite(listener: () => boolean): void;
  /** Closes the store. May be called twice. */
  close(): void;
}

/** One transaction, split by its users. */
export interface Tx {
  readonly keys: KeyRows;
  readonly prices: PriceRows;
  readonly streams: StreamRows;
  readonly ledger: LedgerRows;
  readonly learned: LearnedRows;
  /** Random part of every grant id, made with the store. */
  readonly incarnation: string;
  /** The clock for window ids, which never goes back, even if the machine's clock does. Milliseconds since the epoch. */
  now(): number;
}

/** What outlives manifests: when a key was first adopted, its tokens, and sub-agent keys. */
export interface KeyRows {
  /** Grows with every write to these rows or to prices, by any process. */
  revision(): number;
  /** When the key's current life began. A re-created key begins a new life (ttl, tokens), but keeps its accounts. */
  createdAt(key: KeyName): number | null;
  /** Uid of the object that began this life; null if manifests have none, or it was not known then. */
  uid(key: KeyName): string | null;
  /** Without `uid` the previous one is kept. */
  putCreatedAt(key: KeyName, atMs: number, uid?: string): void;
  /** Every key that has a life, so that the caller finds those whose manifest was deleted. */
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
  /** The token, sealed under the root key. */
  readonly sealed: Buffer;
}
/** A sub-agent key, or the key of one run. */
export interface ChildRow {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: ChildSpec;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  /** On the key of a run: its Pod or Job, e.g. `Pod research-7d9f`. */
  readonly run?: string;
}

/** What this operator remembers of providers' prices, so that no new release lowers a price before its time. */
export interface PriceRows {
  /** JSON, owned by operator/prices; null: no pool of this provider was ever served. */
  state(provider: string): string | null;
  putState(provider: string, state: string): void;
}

/** Epochs and entries, each stored exactly once. */
export interface StreamRows {
  epoch(stream: StreamId, epoch: number): EpochRow | null;
  /** Newest epoch of a stream. */
  lastEpoch(stream: StreamId): EpochRow | null;
  putEpoch(row: EpochRow): void;
  entry(stream: StreamId, epoch: number, seq: number): EntryRow | null;
  addEntry(row: EntryRow): void;
  /** All entries in storing order, for tail, verify and reports; `after` is a position from a row, 0 from the start. */
  entries(after: number, max: number): readonly (EntryRow & { readonly position: number })[];
  /** The newest calls of a key that are flagged `estimated`, in storing order. */
  estimates(key: KeyName, max: number): readonly EntryRow[];
  /** The newest call of a key whose answer has an id with this SHA-256. */
  answer(key: KeyName, answerSha256: string): EntryRow | null;
  /** The `epoch_recovered` entries of a key, in storing order. */
  recoveries(key: KeyName): readonly EntryRow[];
  /** The `credited` entries, in storing order. */
  credits(): readonly EntryRow[];
  epochs(): readonly EpochRow[];
  /** Epochs in state `open` or `quarantined`, which may hold grants, of one proxy or of all proxies. */
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
  /** Highest contiguous seq stored; -1 if there is none. */
  readonly lastSeq: number;
  /** MAC of that entry, 64 hexadecimal digits. */
  readonly lastMac: string;
  /** Ratchet key after that entry, sealed under the root key; hexadecimal. */
  readonly sealedKey: string;
}
export interface UnsettledEpoch extends EpochRow {
  /** When its row was created, by the store's clock. */
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

/** Accounts and grants. The rules are in core/budget; this only stores rows. */
export interface LedgerRows {
  account(id: string): AccountRow | null;
  putAccount(row: AccountRow): void;
  /** Lifetime accounts, and accounts of other windows (except minutes) that began at this time or later; by key, window and start. */
  accountsSince(startMs: number): readonly AccountRow[];
  /** The latest account of a key and window. */
  newestAccount(key: KeyName, window: string): AccountRow | null;
  grant(id: string): BookedGrant | null;
  grantByAsk(askId: string): BookedGrant | null;
  putGrant(row: BookedGrant): void;
  /** Grants that still hold something, by stream and epoch. */
  openGrants(stream: StreamId, epoch: number): readonly BookedGrant[];
  /** The epochs of a stream with open grants, earliest first, and the number of those grants. */
  openEpochs(stream: StreamId): readonly { readonly epoch: number; readonly grants: number }[];
  /** Grants that still hold something of this account, for recall. */
  holders(accountId: string): readonly BookedGrant[];
  /** Grants of a key that hold nothing any more, oldest first. */
  closedGrants(key: KeyName): readonly ClosedGrant[];
  /** Drops grants that closed before this time, and Minute accounts that began before it, except for each key's newest. */
  prune(beforeMs: number): void;
}
export interface ClosedGrant extends BookedGrant {
  /** By the store's clock. */
  readonly closedAtMs: number;
}
/** `id` is the result of `accountId` of core/budget for the other fields. */
export interface AccountRow {
  readonly id: string;
  readonly key: KeyName;
  readonly window: string;
  readonly startMs: number;
  readonly account: Account;
}

/** What bills above their bound taught, until somebody acknowledges it. */
export interface LearnedRows {
  /** Grows with every change of these rows, by any process. */
  revision(): number;
  /** By pool, model and feature. */
  all(): readonly LearnedRow[];
  /** Raises the percent of the place to at least this, and refuses its feature if asked to. It never lowers anything. */
  raise(row: LearnedRow): void;
  /** False if nothing is known of the place. */
  drop(place: LearnedPlace): boolean;
}
interface LearnedPlace {
  readonly pool: string;
  /** Upstream name. */
  readonly model: string;
  readonly feature: Feature;
}
export interface LearnedRow extends LearnedPlace {
  /** Percent of the computed bound that the feature needs; 100 if only impossible bills are known. */
  readonly percent: number;
  readonly refused: boolean;
}
