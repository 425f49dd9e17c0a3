import type { PoolName } from '../../../core/names.ts';
import type { Reflector } from '../../kube/reflector.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { RootRing, VaultProblem } from '../../vault/ring.ts';
import { openPool, vaultSecretName } from '../../vault/vault.ts';
import type { Opened } from '../policy/declared.ts';

/** The vault of a pool. */
export interface OpenedVault {
  /** Null if there is no vault Secret. */
  readonly secret: KubeObject | null;
  /** By credential name; the values are secrets. If the vault cannot be opened, its last known content. */
  readonly credentials: Opened;
  readonly problem: VaultProblem | null;
}

const nothing: Opened = new Map();

/** Makes a reader of the cached vault Secrets, which opens each version once. */
export function createOpenedVaults(
  vaults: Pick<Reflector, 'get'>,
  ring: () => RootRing | undefined,
  namespace: string,
): (pool: PoolName) => OpenedVault {
  const opened = new Map<PoolName, { readonly secret: KubeObject; readonly under: RootRing; readonly vault: OpenedVault }>();

  return (pool) => {
    const secret = vaults.get({ namespace, name: vaultSecretName(pool) }) ?? null;
    const under = ring();
    const last = opened.get(pool);
    if (secret === null) {
      opened.delete(pool);
      return { secret, credentials: nothing, problem: null };
    }
    if (under === undefined) return { secret, credentials: last?.vault.credentials ?? nothing, problem: null };
    if (last?.secret === secret && last.under === under) return last.vault;
    const found = openPool(pool, secret['data'], under);
    const vault: OpenedVault =
      found.kind === 'opened'
        ? { secret, credentials: new Map(found.credentials.map(({ name, value }) => [name, value])), problem: null }
        : { secret, credentials: last?.vault.credentials ?? nothing, problem: found };
    opened.set(pool, { secret, under, vault });
    return vault;
  };
}
