import type { KeyName, PoolName, TokenId } from '../names.ts';
import type { KeyDocument, PoolDocument } from '../policy/documents.ts';

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
