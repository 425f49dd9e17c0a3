import type { Problem } from '../../core/errors.ts';
import { parseManifests } from '../../core/manifest/parse.ts';
import type { Manifests } from '../../core/manifest/types.ts';
import type { KeyName } from '../../core/names.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';
import { findCredentials } from '../standalone/credentials.ts';
import { loadPaths } from '../standalone/load.ts';

/** What people declared, and the credential values that it names. */
export interface Policy {
  readonly manifests: Manifests;
  readonly credentials: Snapshot['credentials'];
  /** Credentials that were not found. A policy with any is not adopted; they are told with what else is wrong. */
  readonly missing: readonly Problem[];
  /** Uids of the objects that declare keys: another than before is another key of that name. Absent: files have none. */
  readonly uids?: ReadonlyMap<KeyName, string>;
  /** When those objects were created, milliseconds since the epoch: a ttl begins there, else when the store first saw the key. */
  readonly createdAtMs?: ReadonlyMap<KeyName, number>;
  /** Keys that cannot be served: what stands in their place keeps their life, and nothing of it was declared. Absent: none. */
  readonly standIns?: ReadonlySet<KeyName>;
}

/** Where a policy is read from. */
export interface PolicySource {
  readonly paths: readonly string[];
  /** `KEYFORGE_SECRET_*`: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** What a path that does not exist means: a mistake at start, a deletion while files are watched. */
  readonly missing: 'problem' | 'gone';
}

/** Reads manifests and credentials. Problems non-empty: some manifests could not be read, and nothing may be made of the rest. */
export async function readPolicy(source: PolicySource): Promise<{ readonly policy: Policy; readonly problems: readonly Problem[] }> {
  const loaded = await loadPaths(source.paths, source.missing);
  const { manifests, problems } = parseManifests(loaded.documents);
  const { credentials, problems: missing } = findCredentials(manifests, source.secrets);
  return { policy: { manifests, credentials, missing }, problems: [...loaded.problems, ...problems] };
}
