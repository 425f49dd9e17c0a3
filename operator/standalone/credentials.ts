import type { Problem } from '../../core/errors.ts';
import type { Manifests, PoolKey, ProviderPool } from '../../core/manifest/types.ts';
import { namespaceOf } from '../../core/names.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';

type Credential = Snapshot['credentials'][number];

/** The environment variable that stands for an item of a Secret: `KEYFORGE_SECRET_<NAME>_<KEY>`. */
export function secretVariable(name: string, key: string): string {
  return `KEYFORGE_SECRET_${name}_${key}`.toUpperCase().replaceAll(/[-.]/g, '_');
}

/**
 * The credential values that the pools name: among the manifests given, then in `environment`.
 * Surrounding white space is dropped: files and shells add newlines. Values never appear in a problem.
 */
export function findCredentials(
  manifests: Pick<Manifests, 'pools' | 'secrets'>,
  environment: Readonly<Record<string, string>>,
): { readonly credentials: readonly Credential[]; readonly problems: readonly Problem[] } {
  const secrets = new Map(manifests.secrets.map(({ name, data }) => [name, data]));
  const credentials: Credential[] = [];
  const problems: Problem[] = [];
  for (const pool of manifests.pools) {
    const namespace = namespaceOf(pool.name);
    for (const [index, key] of pool.keys.entries()) {
      const variable = secretVariable(key.secretRef.name, key.secretRef.key);
      const given = secrets.get(`${namespace}/${key.secretRef.name}`)?.[key.secretRef.key] ?? environment[variable];
      const value = given?.trim() ?? '';
      const wrong = complaint(value, key, namespace, variable);
      if (wrong === null) credentials.push({ pool: pool.name, name: key.name, value });
      else problems.push(problemOf(pool, index, wrong));
    }
  }
  return { credentials, problems };
}

function complaint(value: string, { name, secretRef }: PoolKey, namespace: string, variable: string): string | null {
  if (value === '') {
    return `key ${name} has no value: give a Secret ${namespace}/${secretRef.name} with the item ${secretRef.key} among the manifests, or set ${variable} in the environment`;
  }
  // What is outside printable ASCII cannot stand in a header; better told here than as a failure of every call.
  return /^[!-~]+$/.test(value) ? null : `key ${name} has a value that no HTTP header can carry; paste the credential alone`;
}

function problemOf({ name, origin }: ProviderPool, index: number, message: string): Problem {
  return { where: origin.file, line: origin.line, path: `spec.keys[${index}].secretRef`, message: `ProviderPool ${name} ${message}` };
}
