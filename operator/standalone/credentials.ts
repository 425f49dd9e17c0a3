import { defined } from '../../core/json.ts';
import type { Manifests } from '../../core/manifest/types.ts';
import { namespaceOf } from '../../core/names.ts';
import type { Problem } from '../../core/problem.ts';
import type { Snapshot } from '../../core/protocol/snapshot.ts';

type Credential = Snapshot['credentials'][number];

/** The environment variable that may hold an item of a Secret: `KEYFORGE_SECRET_<NAME>_<KEY>`. */
export function secretVariable(name: string, key: string): string {
  return `KEYFORGE_SECRET_${name}_${key}`.toUpperCase().replaceAll(/[-.]/g, '_');
}

/**
 * Finds the credential values that the pools name, first among the manifests, then in `environment`. It drops surrounding
 * white space, because files and shells add newlines. Values never appear in a problem.
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
      const { name, key: item } = key.secretRef;
      const secret = `${namespace}/${name}`;
      const variable = secretVariable(name, item);
      const value = (secrets.get(secret)?.[item] ?? environment[variable])?.trim() ?? '';
      const at = {
        object: { kind: pool.kind, name: pool.name },
        path: `spec.keys[${index}].secretRef`,
        ...defined({ source: pool.origin }),
      };
      if (value === '') problems.push({ code: 'credential_missing', ...at, key: key.name, secret, item, variable });
      // A header can carry only printable ASCII: a problem now is better than a failure of every call.
      else if (!/^[!-~]+$/.test(value)) problems.push({ code: 'credential_malformed', ...at, key: key.name });
      else credentials.push({ pool: pool.name, name: key.name, value });
    }
  }
  return { credentials, problems };
}
