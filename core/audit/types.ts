import type { RefusalCode } from '../errors.ts';
import type { KeyName, StreamId, TokenId } from '../names.ts';
import type { Breach } from '../price/breach.ts';

/** One record of a stream as it is chained, spooled, shipped and stored. Buffers are raw bytes. */
export interface Entry {
  readonly stream: StreamId;
  /** 1, 2, 3…: a new one each process start. */
  readonly epoch: number;
  /** 0, 1, 2… within the epoch. */
  readonly seq: number;
  /** MAC of the previous entry; 32 zero bytes at seq 0. */
  readonly previousMac: Buffer;
  readonly mac: Buffer;
  /** 16 random bytes. */
  readonly salt: Buffer;
  /** RFC 8785 JSON of the body, the exact bytes that were committed to. */
  readonly body: Buffer;
}

/** Money as a decimal string of nano-USD. */
type NanoText = string;

/** How a call ended; `provider_rejected`: the provider blamed the request. Also the label `code` of metrics. */
export type CallCode = 'ok' | 'client_disconnected' | 'provider_rejected' | RefusalCode;

export interface CallBody {
  readonly v: 1;
  readonly type: 'call';
  readonly time: string;
  readonly requestId: string;
  readonly key: KeyName;
  readonly path: readonly KeyName[];
  /** The Pod or Job of the key's run, e.g. `Pod research-7d9f`. */
  readonly run?: string | undefined;
  readonly owner: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** W3C trace id of the caller. */
  readonly trace?: string | undefined;
  readonly tokenId: TokenId;
  readonly endpoint: string;
  readonly dialect: string;
  readonly stream: boolean;
  /** As the caller wrote it. */
  readonly model?: string | undefined;
  readonly servedModel?: string | undefined;
  readonly code: CallCode;
  /** The key on the path whose limit refused the call. */
  readonly limitedBy?: string | undefined;
  /** HTTP status sent to the caller; 499 if the caller had disconnected. */
  readonly status: number;
  readonly usage?: EntryUsage | undefined;
  /** True if the bound was charged because the outcome is unknown. */
  readonly estimated: boolean;
  readonly costNanoUsd: NanoText;
  readonly paidFrom: readonly PaidFrom[];
  readonly attempts: readonly Attempt[];
  /** Present only if the bill was above its bound. */
  readonly breach?: RecordedBreach | undefined;
  readonly priceBook?: string | undefined;
  readonly policy: string;
  readonly latencyMs: number;
  readonly ttftMs?: number | undefined;
  readonly requestSha256?: string | undefined;
  readonly responseSha256?: string | undefined;
  /** Of the id that the provider gave its answer, by which a later request may continue it. Present only with `usage`. */
  readonly answerSha256?: string | undefined;
}

/** A bill above its bound, and where it came from. */
export interface RecordedBreach extends Breach {
  readonly pool: string;
  /** Upstream name. */
  readonly model: string;
}

export interface EntryUsage {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly output: number;
  readonly reasoning: number;
}

export interface PaidFrom {
  readonly grant: string;
  readonly costNanoUsd: NanoText;
  /** Present only on the grant that counted the request. */
  readonly requests?: 1;
  /** Tokens charged to the per-minute rate. */
  readonly tokens?: number;
}

export interface Attempt {
  readonly pool: string;
  readonly credential: string;
  /** HTTP status; absent if no response arrived. */
  readonly status?: number | undefined;
  readonly costNanoUsd: NanoText;
  /** `count`: the provider counted the call's input. Absent: the call itself. */
  readonly purpose?: 'count' | undefined;
}

/** Refusals of one kind within a minute that have no entry each. None of these calls reached a provider. */
export interface RefusalGroup {
  readonly code: CallCode;
  /** `other`: of several endpoints. */
  readonly endpoint: string;
  /** As manifests or the price book name it, else `other`; absent: no model was read, or there were several. */
  readonly model?: string | undefined;
  /** Absent: of several tokens. */
  readonly tokenId?: TokenId | undefined;
  /** When the first and the last were refused. */
  readonly from: string;
  readonly to: string;
  readonly count: number;
}

/** Further refusals in a minute, like one that has a `call` entry. */
export interface RefusalsBody extends RefusalGroup {
  readonly v: 1;
  readonly type: 'refusals';
  readonly time: string;
  readonly key: KeyName;
}

export interface EpochOpenBody {
  readonly v: 1;
  readonly type: 'epoch_open';
  readonly time: string;
  readonly key: KeyName;
  readonly instance: string;
  /** Hexadecimal; salt of the key derivation. */
  readonly nonce: string;
  readonly bootId: string;
}

/** First entry of an epoch whose predecessor did not close. It alone settles across epochs. */
export interface EpochRecoveredBody {
  readonly v: 1;
  readonly type: 'epoch_recovered';
  readonly time: string;
  readonly key: KeyName;
  readonly recoveredEpoch: number;
  /** Last entry of that epoch in the spool; -1 if none was found. */
  readonly lastSeq: number;
  /** True: same boot and a complete tail, so what was not charged is released. False: it burns. */
  readonly whole: boolean;
  /** Calls that were open. */
  readonly charges: readonly RecoveredCharge[];
  /** Refusals that were counted and had no entry. Absent: none. */
  readonly refusals?: readonly RefusalGroup[] | undefined;
}

/** What the reservations of one open call are charged: those of known cost in one charge, the others in another. */
export interface RecoveredCharge {
  readonly requestId: string;
  readonly paidFrom: readonly PaidFrom[];
  /** The cost was recorded before the process ended. Absent: charged at the bound. */
  readonly measured?: true;
}

/** Releases unspent money. Nothing of these grants may be spent afterwards. */
interface ReleaseBody {
  readonly v: 1;
  readonly type: 'release';
  readonly time: string;
  readonly key: KeyName;
  readonly grants: readonly string[];
}

export interface HeartbeatBody {
  readonly v: 1;
  readonly type: 'heartbeat';
  readonly time: string;
  readonly key: KeyName;
}

/** Last entry of an epoch. It releases every remaining grant. */
interface EpochCloseBody {
  readonly v: 1;
  readonly type: 'epoch_close';
  readonly time: string;
  readonly key: KeyName;
}

/** The operator's own stream. */
export interface OperatorBody {
  readonly v: 1;
  readonly type:
    | 'key_created'
    | 'key_rotated'
    | 'key_revoked'
    | 'policy_changed'
    | 'pool_changed'
    | 'prices_acknowledged'
    | 'bound_acknowledged'
    | 'credited'
    | 'epoch_abandoned'
    | 'stream_quarantined';
  readonly time: string;
  readonly object: string;
  readonly actor?: string;
  readonly detail: Readonly<Record<string, string>>;
  /** On `credited`. */
  readonly credit?: Credit;
}

/** What was given back to the accounts that funded a key. */
export interface Credit {
  readonly key: KeyName;
  readonly parts: readonly CreditPart[];
}

export interface CreditPart {
  /** The call that was charged; absent: the grant's burned rest. */
  readonly requestId?: string | undefined;
  readonly grant: string;
  readonly nanoUsd: NanoText;
}

export type ProxyBody = CallBody | RefusalsBody | EpochOpenBody | EpochRecoveredBody | ReleaseBody | HeartbeatBody | EpochCloseBody;
export type EntryBody = ProxyBody | OperatorBody;
