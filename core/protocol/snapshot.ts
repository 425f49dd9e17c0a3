import type { KeyName, PoolName, TokenId } from '../names.ts';
import type { KeyDocument, PoolDocument } from '../policy/documents.ts';

/** Everything that a proxy serves. The operator pushes it at every change; each replaces the last. */
export interface Snapshot {
  readonly kind: 'snapshot';
  /** Grows with each change. */
  readonly revision: number;
  readonly keys: readonly ServedKey[];
  readonly pools: readonly PoolDocument[];
  readonly credentials: readonly { readonly pool: PoolName; readonly name: string; readonly value: string }[];
}

/** The end of a shared budget is near: proxies release the idle grants of these keys, by a `release` entry. */
export interface Recall {
  readonly kind: 'recall';
  readonly keys: readonly KeyName[];
  /** A call has waited half of its time: the grants admit no further call, and each is released when its last call ends. */
  readonly whole?: true;
}

export type Push = Snapshot | Recall;

export interface ServedKey {
  readonly document: KeyDocument;
  /** Tokens that open this key now: one, or two while a rotation overlaps. */
  readonly tokens: readonly { readonly id: TokenId; readonly hint: string; readonly validUntilMs?: number }[];
}
