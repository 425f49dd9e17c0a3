import type { KeyName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import type { Problem } from '../../../core/problem.ts';
import type { KeyListing } from '../../keys/listing.ts';
import type { Policy } from '../../keys/policy.ts';

/** The part of the broker that the controllers use. */
export interface PolicyHost {
  /** Adopts a policy. If it returns problems, nothing changed and the last good state stays in force. */
  adopt(policy: Policy): readonly Problem[];
  /** For conditions: pools that keys name and may not use, after the last adoption. Those keys work without them. */
  withdrawn(): readonly Problem[];
  /** The current token of a declared key; null if the key issues none or is revoked. A secret, only for the token Secret. */
  token(key: KeyName): string | null;
  /** The effective policy; null if the key has only a budget, or is not served. */
  document(key: KeyName): KeyDocument | null;
  /** State, spend and limits of every key, sub-agent keys included, in one transaction. */
  list(): readonly KeyListing[];
  /** For status: number of attached proxies by key; a key without any is absent. */
  activeProxies(): ReadonlyMap<KeyName, number>;
  /** Makes a new token; the previous one works for `overlapMs` more (undefined: as the manifest says). */
  rotate(key: KeyName, overlapMs: number | undefined, actor: string): void;
}
