import { type PoolName, partsOf } from '../../../core/names.ts';
import type { Events } from '../../kube/events.ts';
import { refusalOf, writeSecret } from '../../kube/refused-write.ts';
import { secrets } from '../../kube/resources.ts';
import type { KubeClient, KubeObject } from '../../kube/types.ts';
import { managedLabel, managedValue, poolAnnotation, vaultLabel } from '../../labels.ts';
import type { Random } from '../../vault/aead.ts';
import type { KeyRingSecret } from '../../vault/key-ring-secret.ts';
import { isUpToDate, sealPool, vaultSecretName } from '../../vault/vault.ts';
import { announce, conditionsFor, type NewCondition } from '../conditions.ts';
import type { Caches } from '../policy/caches.ts';
import { isGone } from '../policy/declared.ts';
import type { PolicyController } from '../policy/policy.ts';
import { readPool } from '../policy/read.ts';
import type { StatusWriter } from '../status-writer.ts';
import type { OpenedVault } from './opened-vaults.ts';
import { type CredentialState, chooseCredentials, type PoolCredentials, poolReady } from './state.ts';

/** The operator re-reads source Secrets after this time, in case it missed a change. */
const resyncMs = 600_000;

interface PoolReconcilerDeps {
  /** Its writes fail if this replica does not lead. */
  readonly client: KubeClient;
  readonly caches: Pick<Caches, 'pools'>;
  readonly namespace: string;
  readonly poolNamespaces: readonly string[];
  readonly policy: Pick<PolicyController, 'verdict' | 'consumers'>;
  readonly vault: (pool: PoolName) => OpenedVault;
  readonly keyRing: KeyRingSecret;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly random: Random;
  readonly clock: () => number;
}

/** Makes the reconciler of one pool's vault Secret and status. For a deleted pool, it removes the vault Secret. */
export function createPoolReconciler(deps: PoolReconcilerDeps): (pool: PoolName) => Promise<{ readonly againInMs?: number }> {
  const reconciler = new PoolReconciler(deps);
  return (pool) => reconciler.reconcile(pool);
}

/** The content of a pool's status. */
interface Shown {
  readonly ready: NewCondition;
  readonly credentials: readonly CredentialState[];
}

class PoolReconciler {
  readonly #deps: PoolReconcilerDeps;

  constructor(deps: PoolReconcilerDeps) {
    this.#deps = deps;
  }

  async reconcile(pool: PoolName): Promise<{ readonly againInMs?: number }> {
    const { caches, poolNamespaces, keyRing, vault, policy } = this.#deps;
    const { namespace } = partsOf(pool);
    const object = caches.pools.get(partsOf(pool));
    if (object === undefined || isGone(object) || !poolNamespaces.includes(namespace)) {
      await this.#removeVault(pool);
      if (object !== undefined && !isGone(object)) await this.#report(pool, object, { ready: notServed(namespace), credentials: [] });
      return {};
    }
    const withoutRing = await refusalOf(keyRing.createIfMissing());
    const opened = vault(pool);
    const { manifest } = readPool(object);
    const chosen = manifest && chooseCredentials(manifest, await this.#readSources(namespace, manifest.keys), opened.credentials);
    // If the pool cannot be read, its vault does not change: the last good version needs it.
    const unsealed = chosen && (await refusalOf(this.#writeVault(pool, opened, chosen)));
    const refused = withoutRing ?? unsealed;
    const states = chosen?.states ?? [];
    const problem = keyRing.problem() ?? opened.problem;
    const verdict = policy.verdict({ kind: 'ProviderPool', name: pool }, object.metadata.uid);
    const ready = poolReady({ pool, verdict, states, problem, refused: refused?.message ?? null });
    await this.#report(pool, object, { ready, credentials: states });
    if (refused !== null) throw refused; // The queue retries, with growing delays.
    return manifest === null ? {} : { againInMs: resyncMs };
  }

  async #readSources(
    namespace: string,
    keys: readonly { readonly secretRef: { readonly name: string } }[],
  ): Promise<ReadonlyMap<string, KubeObject | null>> {
    const { client } = this.#deps;
    const names = [...new Set(keys.map(({ secretRef }) => secretRef.name))];
    return new Map(await Promise.all(names.map(async (name) => [name, await client.get(secrets, { namespace, name })] as const)));
  }

  async #writeVault(pool: PoolName, vault: OpenedVault, { wanted, isWhole }: PoolCredentials): Promise<void> {
    const { client, namespace, keyRing, random } = this.#deps;
    const ring = keyRing.ring();
    if (ring === undefined) return;
    // The previous root key may return and open the vault again, so only a complete set of values overwrites it.
    if (vault.problem !== null && !isWhole) return;
    if (wanted.length === 0) return this.#removeVault(pool);
    if (vault.secret !== null && isUpToDate(pool, vault.secret['data'], wanted, ring)) return;
    const data = sealPool(pool, wanted, ring, random);
    const name = vaultSecretName(pool);
    const labels = { [managedLabel]: managedValue, [vaultLabel]: 'pool' };
    const metadata = { name, namespace, labels, annotations: { [poolAnnotation]: pool } };
    const advice = "Fix what refuses it in the operator's namespace (a quota, an admission policy, `immutable` in the Secret)";
    await writeSecret({ secret: name, advice, values: Object.values(data) }, () =>
      client.apply(secrets, { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data }),
    );
  }

  async #removeVault(pool: PoolName): Promise<void> {
    const { client, namespace, vault } = this.#deps;
    const { secret } = vault(pool);
    if (secret?.metadata.uid === undefined) return;
    await client.remove(secrets, { namespace, name: secret.metadata.name }, { uid: secret.metadata.uid });
  }

  async #report(pool: PoolName, object: KubeObject, { ready, credentials }: Shown): Promise<void> {
    const { status, events, policy, clock } = this.#deps;
    const conditions = conditionsFor(status.latest(object), [ready], clock());
    announce(events, status.latest(object), conditions);
    const { generation } = object.metadata;
    await status.write(object, { conditions, observedGeneration: generation, credentials, consumers: policy.consumers(pool) });
  }
}

function notServed(namespace: string): NewCondition {
  const message = `namespace ${namespace} is not among the operator's --pool-namespaces; add it there, or move the pool`;
  return { type: 'Ready', status: 'False', reason: 'NamespaceNotServed', message };
}
