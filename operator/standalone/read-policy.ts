import { parseManifests } from '../../core/manifest/parse.ts';
import type { Problem } from '../../core/problem.ts';
import type { Policy } from '../keys/policy.ts';
import { findCredentials } from './credentials.ts';
import { loadPaths } from './load.ts';

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
