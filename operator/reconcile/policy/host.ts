import type { KeyName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import type { Problem } from '../../../core/problem.ts';
import type { KeyListing } from '../../keys/listing.ts';
import type { Policy } from '../../keys/policy.ts';

/** The broker as the controllers need it. */
export interface PolicyHost {
  /** If there are problems, nothing changed: the last good state stays in force. */
  adopt(policy: Policy): readonly Problem[];
  /** Pools that keys name and may not use, after the last adoption: those keys do without. For conditions. */
  withdrawn(): readonly Problem[];
  /** The token that opens a declared key now; null where it issues none or is revoked. A secret: for its Secret alone. */
  token(key: KeyName): string | null;
  /** The effective policy; null where the key holds a budget only, or is not served. */
  document(key: KeyName): KeyDocument | null;
  /** State, spend and limits of every key, sub-agent keys among them. One transaction. */
  list(): readonly KeyListing[];
  /** Proxies that are attached now, by key; a key without any is absent. For status. */
  activeProxies(): ReadonlyMap<KeyName, number>;
  /** A new token now, the one before it good for `overlapMs` (undefined: as the manifest says). */
  rotate(key: KeyName, overlapMs: number | undefined, actor: string): void;
}
