import type { Manifests } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import type { Problem } from '../../core/problem.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';

/** What people declared, with the values of the credentials that it names. */
export interface Policy {
  readonly manifests: Manifests;
  readonly credentials: Snapshot['credentials'];
  /** Credentials that were not found. A policy with any is not adopted; they are reported with all other problems. */
  readonly missing: readonly Problem[];
  /** Uids of the objects that declare keys: a different uid means a different key. Absent for files, which have none. */
  readonly uids?: ReadonlyMap<KeyName, string>;
  /** Creation times of those objects, milliseconds since the epoch, at which ttls begin. Absent: the key's first adoption. */
  readonly createdAtMs?: ReadonlyMap<KeyName, number>;
  /** Keys that are replaced by stand-ins, which nobody declared. Absent: none. */
  readonly standIns?: ReadonlySet<KeyName>;
}
