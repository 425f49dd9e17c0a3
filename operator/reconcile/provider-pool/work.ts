import { type PoolName, partsOf } from '../../../core/names.ts';
import type { Events } from '../../kube/events.ts';
import { refusalOf, writeSecret } from '../../kube/refused-write.ts';
import { secrets } from '../../kube/resources.ts';
import type { KubeClient, KubeObject } from '../../kube/types.ts';
import type { Random } from '../../vault/aead.ts';
import type { RootKeys } from '../../vault/root-keys.ts';
import { isUpToDate, sealPool, vaultSecretName } from '../../vault/vault.ts';
import { announce } from '../announce.ts';
import { managedLabel, managedValue, poolAnnotation, vaultLabel } from '../names.ts';
import type { Caches } from '../policy/caches.ts';
import { isGone } from '../policy/declared.ts';
import type { PolicyController } from '../policy/policy.ts';
import { idOf, readPool } from '../policy/read.ts';
import { conditionsFor, type StatusWriter } from '../status-writer.ts';
import type { OpenedVault } from './opened-vaults.ts';
import { gatherCredentials, type PoolCredentials, poolReady } from './state.ts';

/** A source Secret whose metadata did not change is looked at again after this long, should a change have been missed. */
const resyncMs = 600_000;

export interface ProviderPoolDeps {
  /** Its writes fail where this replica does not lead. */
  readonly client: KubeClient;
  readonly caches: Pick<Caches, 'pools'>;
  readonly namespace: string;
  readonly poolNamespaces: readonly string[];
  readonly policy: Pick<PolicyController, 'verdict' | 'consumers'>;
  readonly vault: (pool: PoolName) => OpenedVault;
  readonly rootKeys: RootKeys;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly random: Random;
  readonly clock: () => number;
}

/** What was found of a pool that is served. */
interface Found {
  /** Null where it cannot be read. */
  readonly credentials: PoolCredentials | null;
  readonly vault: OpenedVault;
  readonly refused: string | null;
}

/** Brings the vault Secret and the status of one pool to what they should be; a pool that is gone leaves nothing behind. */
export function createProviderPoolWork(deps: ProviderPoolDeps): (pool: PoolName) => Promise<{ readonly againInMs?: number }> {
  const { client, rootKeys } = deps;

  return async (pool) => {
    const { namespace, name } = partsOf(pool);
    const object = deps.caches.pools.get({ namespace, name });
    if (object === undefined || isGone(object) || !deps.poolNamespaces.includes(namespace)) {
      await removeVault(pool);
      if (object !== undefined && !isGone(object)) await tellStatus(pool, object, notServed(namespace));
      return {};
    }
    const withoutRoot = await refusalOf(rootKeys.ensure());
    const vault = deps.vault(pool);
    const { manifest } = readPool(object);
    const credentials = manifest && gatherCredentials(manifest, await readSources(namespace, manifest.keys), vault.credentials);
    // Of a pool that cannot be read, what the vault holds stays as it is: its last good version is served with it.
    const unsealed = credentials && (await refusalOf(writeVault(pool, vault, credentials)));
    const refused = withoutRoot ?? unsealed;
    await tellStatus(pool, object, { credentials, vault, refused: refused?.message ?? null });
    if (refused !== null) throw refused; // to be tried again, ever more seldom
    return manifest === null ? {} : { againInMs: resyncMs };
  };

  async function readSources(
    namespace: string,
    keys: readonly { readonly secretRef: { readonly name: string } }[],
  ): Promise<ReadonlyMap<string, KubeObject | null>> {
    const names = [...new Set(keys.map(({ secretRef }) => secretRef.name))];
    return new Map(await Promise.all(names.map(async (name) => [name, await client.get(secrets, { namespace, name })] as const)));
  }

  async function writeVault(pool: PoolName, vault: OpenedVault, { wanted, isWhole }: PoolCredentials): Promise<void> {
    const ring = rootKeys.ring();
    if (ring === undefined) return;
    // What cannot be opened may yet be mended by putting a root key back: it is overwritten only by the whole.
    if (vault.problem !== null && !isWhole) return;
    if (wanted.length === 0) return removeVault(pool);
    if (vault.secret !== null && isUpToDate(pool, vault.secret['data'], wanted, ring)) return;
    const data = sealPool(pool, wanted, ring, deps.random);
    const name = vaultSecretName(pool);
    const advice = "Change what refuses it in the operator's namespace (a quota, an admission policy, `immutable` in the Secret)";
    await writeSecret({ secret: name, advice, values: Object.values(data) }, () =>
      client.apply(secrets, {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'Opaque',
        metadata: {
          name,
          namespace: deps.namespace,
          labels: { [managedLabel]: managedValue, [vaultLabel]: 'pool' },
          annotations: { [poolAnnotation]: pool },
        },
        data,
      }),
    );
  }

  async function removeVault(pool: PoolName): Promise<void> {
    const { secret } = deps.vault(pool);
    if (secret?.metadata.uid === undefined) return;
    await client.remove(secrets, { namespace: deps.namespace, name: secret.metadata.name }, { uid: secret.metadata.uid });
  }

  async function tellStatus(pool: PoolName, object: KubeObject, found: Found | ReturnType<typeof notServed>): Promise<void> {
    const states = 'vault' in found ? (found.credentials?.states ?? []) : [];
    const problem = 'vault' in found ? (rootKeys.problem() ?? found.vault.problem) : null;
    const verdict = deps.policy.verdict(idOf('ProviderPool', pool), object.metadata.uid);
    const stated = 'vault' in found ? poolReady({ pool, verdict, states, problem, refused: found.refused }) : found;
    const conditions = conditionsFor(deps.status.latest(object), [stated], deps.clock());
    announce(deps.events, deps.status.latest(object), conditions);
    await deps.status.write(object, {
      conditions,
      observedGeneration: object.metadata.generation,
      credentials: states,
      consumers: deps.policy.consumers(pool),
    });
  }
}

function notServed(namespace: string) {
  const message = `namespace ${namespace} is not among the operator's --pool-namespaces; add it there, or move the pool`;
  return { type: 'Ready', status: 'False', reason: 'NamespaceNotServed', message } as const;
}
