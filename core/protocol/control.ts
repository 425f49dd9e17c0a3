import type { StreamId } from '../audit/types.ts';
import type { Shortage } from '../budget/types.ts';
import type { RefusalCode } from '../errors.ts';
import type { PoolName } from '../manifest/types.ts';
import type { NanoUsd } from '../money.ts';
import type { KeyDocument, PoolDocument } from '../policy/documents.ts';
import type { KeyName, TokenId } from '../token.ts';

/** Version of the messages; both sides refuse another. */
export const controlVersion = 1;

/** Everything a proxy serves, whole: a later one replaces an earlier one. Pushed on the held stream at every change. */
export interface Snapshot {
  readonly kind: 'snapshot';
  /** Grows with each change. */
  readonly revision: number;
  readonly keys: readonly ServedKey[];
  readonly pools: readonly PoolDocument[];
  readonly credentials: readonly { readonly pool: PoolName; readonly name: string; readonly value: string }[];
}

/** The end of a shared budget is near: give back what these keys hold idle, by a `release` entry. */
export interface Recall {
  readonly kind: 'recall';
  readonly keys: readonly KeyName[];
}
export type Push = Snapshot | Recall;

export interface ServedKey {
  readonly document: KeyDocument;
  /** Tokens that open this key now: one, or two while a rotation overlaps. */
  readonly tokens: readonly { readonly id: TokenId; readonly hint: string; readonly validUntilMs?: number }[];
}

/** Opens the next epoch of a stream. */
export interface OpenAsk {
  readonly key: KeyName;
  readonly instance: string;
}
export interface OpenReply {
  readonly stream: StreamId;
  readonly epoch: number;
  /** Hexadecimal. */
  readonly nonce: string;
  /** Hexadecimal K0; lives in memory only and is wiped with the first ratchet. */
  readonly chainKey: string;
}

/** Entries of any streams, each stream's in order. Stored once and settled in one transaction. */
export interface ShipAsk {
  /** As core/protocol/entry-wire.ts writes them. */
  readonly entries: Buffer;
}
export interface ShipReply {
  /** Highest contiguous seq stored, by stream and epoch, for every stream named in the ask. */
  readonly acks: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number }[];
  /** Entries that will never be taken, with the reason: the stream is quarantined. */
  readonly rejected: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number; readonly reason: string }[];
}

/** Asks for money and requests for one stream. Granted only when the ledger holds the stream up to `head`. */
export interface GrantAsk extends Omit<Shortage, 'kind'> {
  readonly stream: StreamId;
  readonly epoch: number;
  /** Seq of the last entry the proxy wrote; -1 where none. */
  readonly head: number;
  /** Idempotency key: the same ask sent twice gives the same grant. */
  readonly askId: string;
}

export interface Grant {
  readonly id: string;
  readonly key: KeyName;
  readonly amountNano: NanoUsd;
  /** Requests it may admit; absent: not limited. */
  readonly requests?: number;
  /** Tokens of the per-minute rate; absent: not limited. */
  readonly tokens?: number;
  /** Admits calls from now + this many milliseconds of the holder's monotonic clock, counted from when it sent the ask… */
  readonly validAfterMs: number;
  /** …until now + this many: the earliest window end on the path. Absent: no end. */
  readonly validForMs?: number;
  /** Left in the tightest window of the path after this grant, for the remaining header; absent: uncapped. */
  readonly remainderNano?: NanoUsd;
}

/** A "no" of the ledger with what the caller needs to know. */
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
  /** What could still be reserved now. */
  readonly availableNano: NanoUsd;
}
export type GrantReply = { readonly grant: Grant } | { readonly denial: GrantDenial };

/** Where a key stands, for `GET /keyforge/v1/self`. */
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

/** What an agent may say of a sub-agent key; every field narrows the parent. */
export interface ChildSpec {
  readonly name?: string;
  readonly usdNano?: NanoUsd;
  readonly requests?: number;
  readonly ttlMs?: number;
  readonly models?: readonly string[];
  readonly endpoints?: readonly string[];
  readonly outputTokens?: number;
  readonly delegation?: { readonly maxDepth: number; readonly maxChildren: number };
}
export interface ChildView {
  readonly key: KeyName;
  readonly keyHint: string;
  readonly expiresAt?: string;
  readonly capNanoUsd?: string;
  readonly spentNanoUsd: string;
}
export type MintReply =
  | { readonly token: string; readonly child: ChildView }
  | { readonly denial: { readonly code: RefusalCode; readonly message: string } };

/** The calls a proxy makes. In-process (serialised) or over TLS: one conformance suite. Each may reject with ControlUnavailable. */
export interface ControlPort {
  open(ask: OpenAsk): Promise<OpenReply>;
  ship(ask: ShipAsk): Promise<ShipReply>;
  grant(ask: GrantAsk): Promise<GrantReply>;
  account(key: KeyName): Promise<AccountView>;
  mint(parent: KeyName, spec: ChildSpec): Promise<MintReply>;
  children(parent: KeyName): Promise<readonly ChildView[]>;
  /** False where the parent has no such child. */
  unmint(parent: KeyName, child: KeyName): Promise<boolean>;
  /** Calls back with the whole state now and at every change, and with recalls; returns how to stop. */
  watch(listener: (push: Push) => void): () => void;
}

/** The operator could not be reached, or answered that it cannot serve. */
export class ControlUnavailable extends Error {
  override readonly name = 'ControlUnavailable';
}
