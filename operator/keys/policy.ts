import { parseManifests } from '../../core/manifest/parse.ts';
import type { Manifests } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import type { Problem } from '../../core/problem.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';
import { findCredentials } from '../standalone/credentials.ts';
import { loadPaths } from '../standalone/load.ts';

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

/** Where a policy is read from. */
interface PolicySource {
  readonly paths: readonly string[];
  /** `KEYFORGE_SECRET_*`: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** What a path that does not exist means: a mistake at start, a deletion while files are watched. */
  readonly missing: 'problem' | 'gone';
}

/** Reads manifests and credentials. If there are problems, some manifests could not be read, and the rest must not be used. */
export async function readPolicy(source: PolicySource): Promise<{ readonly policy: Policy; readonly problems: readonly Problem[] }> {
  const loaded = await loadPaths(source.paths, source.missing);
  const { manifests, problems } = parseManifests(loaded.documents);
  const { credentials, problems: missing } = findCredentials(manifests, source.secrets);
  return { policy: { manifests, credentials, missing }, problems: [...loaded.problems, ...problems] };
}
