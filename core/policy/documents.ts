import type { ProviderKind } from '../manifest/providers.ts';
import type { Limit, OnDisconnect, PoolModel, PoolTimeouts, VirtualKeySpec } from '../manifest/types.ts';
import type { NanoUsd } from '../money.ts';
import type { KeyName, PoolName } from '../names.ts';
import type { BookEntry, Learned } from '../price/types.ts';

/** The effective policy of one key, narrowed by its ancestors' policies. Plain JSON that a proxy enforces. */
export interface KeyDocument {
  readonly key: KeyName;
  /** Ancestors, root first, without the key itself. */
  readonly path: readonly KeyName[];
  readonly owner: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Pools that the whole path allows and that admit this key as consumer, in order of preference. */
  readonly pools: readonly PoolName[];
  readonly models: {
    /** One list for each node of the path that has one: a model must match every list. */
    readonly allow: readonly (readonly string[])[];
    /** Union over the path. */
    readonly deny: readonly string[];
    /** Nearest node wins; applied once. */
    readonly aliases: Readonly<Record<string, string>>;
  };
  /** Intersection over the path; absent = all. */
  readonly endpoints?: readonly string[];
  readonly perRequest: { readonly usdNano?: NanoUsd; readonly outputTokens?: number };
  /** The smallest dollar cap of any window on the path; absent: nothing caps this key. */
  readonly smallestCapNano?: NanoUsd;
  /** True if any node of the path has a request quota or a per-minute rate: a request then needs more than money. */
  readonly counted: boolean;
  /** The smallest rate of the path, which also bounds how often providers count for the key; absent: none. */
  readonly requestsPerMinute?: number;
  /** By node of the path that has such a limit, root first: its own calls in flight and those of all keys below, in each proxy. Absent: none. */
  readonly concurrentCalls?: readonly ConcurrencyLimit[];
  /** Earliest over the path, milliseconds since the epoch. */
  readonly expiresAtMs?: number;
  /** The nearest suspended node of the path; absent: none. */
  readonly suspendedBy?: KeyName;
  readonly delegation?: { readonly maxDepth: number; readonly maxChildren: number };
  /** The Pod or Job of the run that this key is or descends from. */
  readonly run?: string;
  /** `sha256:…` of the document's canonical bytes; the `policy` of its entries. */
  readonly digest: string;
}

export interface ConcurrencyLimit {
  readonly key: KeyName;
  readonly calls: number;
}

/** A pool without its credential values, for proxies. */
export interface PoolDocument {
  readonly pool: PoolName;
  readonly provider: ProviderKind;
  /** Always set here: the pool's own or the provider's default. */
  readonly endpoint: string;
  readonly keys: readonly { readonly name: string; readonly quotaScope: string }[];
  /** The pool's own models: additions and overrides, searched before `book`. */
  readonly models: readonly PoolModel[];
  readonly book: readonly BookEntry[];
  /** True: a 500 or 502 costs nothing. */
  readonly freeErrors?: true;
  /** True: a compatible server that counts tokens. */
  readonly countable?: true;
  /** Body fields that its owner has judged to be free. */
  readonly freeFields: readonly string[];
  readonly timeouts?: PoolTimeouts;
  /** Absent: `Drain`. */
  readonly onDisconnect?: OnDisconnect;
  readonly maxConnections?: number;
  readonly sseKeepAliveMs?: number;
  /** What bills have taught about the pool's models, by upstream name. */
  readonly learned: Readonly<Record<string, Learned>>;
  /** `sha256:…` over models and book; the `priceBook` of entries. */
  readonly priceBookDigest: string;
}

/** One node of the tree, for the ledger. */
export interface AccountPlan {
  readonly key: KeyName;
  /** Root first, the key itself last. */
  readonly path: readonly KeyName[];
  /** By node of `path`: its limits and rates. */
  readonly nodes: readonly AccountNode[];
}

export interface AccountNode {
  readonly key: KeyName;
  readonly limits: readonly Limit[];
  readonly rate: VirtualKeySpec['rate'];
  /** On a sub-agent key: its escrow at the time of minting. */
  readonly escrowNano?: NanoUsd;
}

/** The output of `compile`: all active documents. */
export interface Compiled {
  readonly keys: readonly KeyDocument[];
  readonly pools: readonly PoolDocument[];
  readonly plans: readonly AccountPlan[];
}
