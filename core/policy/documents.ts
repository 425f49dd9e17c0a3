import type { ProviderKind } from '../manifest/providers.ts';
import type { Limit, PoolModel, VirtualKeySpec } from '../manifest/types.ts';
import type { NanoUsd } from '../money.ts';
import type { KeyName, PoolName } from '../names.ts';
import type { BookEntry } from '../price/types.ts';

/** The effective policy of one key: its own and its ancestors', already narrowed. Plain JSON; what a proxy enforces. */
export interface KeyDocument {
  readonly key: KeyName;
  /** Ancestors, root first, without the key itself. */
  readonly path: readonly KeyName[];
  readonly owner: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Pools in order of preference that the whole path allows and that admit this key as consumer. */
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
  /** True where any node of the path has a request quota or a per-minute rate: a request then needs more than money. */
  readonly counted: boolean;
  /** Earliest over the path, milliseconds since the epoch. */
  readonly expiresAtMs?: number;
  /** The node of the path that is suspended, nearest first; absent: none. */
  readonly suspendedBy?: KeyName;
  readonly delegation?: { readonly maxDepth: number; readonly maxChildren: number };
  /** The Pod or Job whose run this key is, or descends from. */
  readonly run?: string;
  /** `sha256:…` of the document's canonical bytes; the `policy` of its entries. */
  readonly digest: string;
}

/** What a proxy knows of a pool: no credential values. */
export interface PoolDocument {
  readonly pool: PoolName;
  readonly provider: ProviderKind;
  /** Always set here: the pool's own or the provider's default. */
  readonly endpoint: string;
  readonly keys: readonly { readonly name: string; readonly quotaScope: string }[];
  /** The pool's own models: additions and overrides, searched before `book`. */
  readonly models: readonly PoolModel[];
  readonly book: readonly BookEntry[];
  /** `sha256:…` over models and book; the `priceBook` of entries. */
  readonly priceBookDigest: string;
}

/** One node of the tree as the ledger needs it. */
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
  /** Set on a sub-agent key: what was escrowed for it when it was minted. */
  readonly escrowNano?: NanoUsd;
}

/** All that is served, as `compile` makes it. */
export interface Compiled {
  readonly keys: readonly KeyDocument[];
  readonly pools: readonly PoolDocument[];
  readonly plans: readonly AccountPlan[];
}
