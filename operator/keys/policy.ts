import type { Manifests } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import type { Problem } from '../../core/problem.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';

/** What people declared, and the credential values that it names. */
export interface Policy {
  readonly manifests: Manifests;
  readonly credentials: Snapshot['credentials'];
  /** Credentials that were not found. A policy with any is not adopted; they are reported with what else is wrong. */
  readonly missing: readonly Problem[];
  /** Uids of the objects that declare keys: another uid is another key of that name. Absent: files have none. */
  readonly uids?: ReadonlyMap<KeyName, string>;
  /** When those objects were created, milliseconds since the epoch: there a ttl begins. Absent: when the store first saw the key. */
  readonly createdAtMs?: ReadonlyMap<KeyName, number>;
  /** Keys that cannot be served: their stand-ins keep their life, and nothing of those was declared. Absent: none. */
  readonly standIns?: ReadonlySet<KeyName>;
}
