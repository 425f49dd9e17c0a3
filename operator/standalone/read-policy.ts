import { parseManifests } from '../../core/manifest/parse.ts';
import type { Problem } from '../../core/problem.ts';
import type { Policy } from '../keys/policy.ts';
import { findCredentials } from './credentials.ts';
import { loadPaths } from './load.ts';

/** The sources of a policy. */
interface PolicySource {
  readonly paths: readonly string[];
  /** `KEYFORGE_SECRET_*`: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The meaning of a path that does not exist: a mistake at start, a deletion during a watch. */
  readonly missing: 'problem' | 'gone';
}

/** Reads manifests and credentials. If there are problems, do not use the rest. */
export async function readPolicy(source: PolicySource): Promise<{ readonly policy: Policy; readonly problems: readonly Problem[] }> {
  const loaded = await loadPaths(source.paths, source.missing);
  const { manifests, problems } = parseManifests(loaded.documents);
  const { credentials, problems: missing } = findCredentials(manifests, source.secrets);
  return { policy: { manifests, credentials, missing }, problems: [...loaded.problems, ...problems] };
}
