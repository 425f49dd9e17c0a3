import { type KeyName, type PoolName, storedKey, storedPool } from '../../core/names.ts';
import type { KubeObject } from '../kube/types.ts';
import { poolAnnotation } from '../labels.ts';
import { rootKeySecret } from '../vault/ring.ts';
import type { ChangeKind, ChangeKinds, ObjectChange } from './changes.ts';
import type { PolicyController } from './policy/policy.ts';
import { keyOf, poolOf, readPool } from './policy/read.ts';
import { type StatusWriter, statusOf } from './status-writer.ts';

/** The controllers that have work after a change. */
export interface Woken {
  /** Adopt the policy again. */
  readonly policy?: boolean;
  /** Re-read the Secret of the vault's key ring. */
  readonly keyRing?: boolean;
  /** Compare tokens and policies with those last seen. */
  readonly tokens?: boolean;
  /** Reconcile these keys. */
  readonly keys?: readonly KeyName[];
  /** Reconcile these pools. */
  readonly pools?: readonly PoolName[];
}

/** The data that the table reads beside the change itself. */
export interface View {
  /** The operator's own namespace. */
  readonly namespace: string;
  readonly caches: { readonly [K in 'keys' | 'pools' | 'vaults']: { all(): readonly KubeObject[] } };
  readonly status: { readonly [K in 'keys' | 'pools']: Pick<StatusWriter, 'isOwn'> };
  readonly policy: Pick<PolicyController, 'consumers'>;
}

type Wakes = { readonly [K in ChangeKind]: (change: ChangeKinds[K], view: View) => Woken };

/** Which change wakes which controllers. */
const wakes: Wakes = {
  virtualKey: (change, { status }) => ({ policy: isNews(change), keys: isOwn(change, status.keys) ? [] : [keyOf(change.object)] }),
  providerPool: (change, { status }) => ({ policy: isNews(change), pools: isOwn(change, status.pools) ? [] : [poolOf(change.object)] }),
  namespace: (change) => ({ policy: hasOtherLabels(change) }),
  vault: ({ object }) => ({ policy: true, pools: poolsOfVault(object) }),
  secret: ({ object }, view) => ({ keyRing: isKeyRing(object, view), pools: poolsNaming(object, view) }),
  keyRing: (_, { caches }) => ({ policy: true, pools: caches.pools.all().map(poolOf) }),
  adoption: (objects) => ({
    keys: objects.filter(({ kind }) => kind === 'VirtualKey').map(({ name }) => storedKey(name)),
    pools: objects.filter(({ kind }) => kind === 'ProviderPool').map(({ name }) => storedPool(name)),
  }),
  broker: () => ({ tokens: true }),
  tokens: (keys) => ({ keys }),
  proxies: (key) => ({ keys: [key] }),
  spend: (keys, view) => ({ keys, pools: poolsWithOtherConsumers(view) }),
  // Pools that were deleted without a leader have left their vaults behind.
  leader: (_, { caches: { keys, pools, vaults } }) => ({
    keys: keys.all().map(keyOf),
    pools: [...pools.all().map(poolOf), ...vaults.all().flatMap(poolsOfVault)],
  }),
};

/** The controllers that have work after this change. */
export function wokenBy<K extends ChangeKind>(kind: K, change: ChangeKinds[K], view: View): Woken {
  return wakes[kind](change, view);
}

/** True if more than the status or an annotation changed. */
function isNews({ type, object, previous }: ObjectChange): boolean {
  if (type === 'gone' || previous === undefined) return true;
  const { generation, deletionTimestamp } = previous.metadata;
  return object.metadata.generation !== generation || object.metadata.deletionTimestamp !== deletionTimestamp;
}

/** True for a version that our own write of the status made. */
function isOwn({ type, object }: ObjectChange, status: Pick<StatusWriter, 'isOwn'>): boolean {
  return type === 'put' && status.isOwn(object);
}

function hasOtherLabels({ type, object, previous }: ObjectChange): boolean {
  return type === 'gone' || previous === undefined || labelsOf(object) !== labelsOf(previous);
}

function labelsOf({ metadata }: KubeObject): string {
  return JSON.stringify(metadata.labels ?? {});
}

function isKeyRing({ metadata }: KubeObject, { namespace }: View): boolean {
  return metadata.namespace === namespace && metadata.name === rootKeySecret;
}

function poolsOfVault({ metadata }: KubeObject): readonly PoolName[] {
  const pool = metadata.annotations?.[poolAnnotation];
  return pool === undefined ? [] : [storedPool(pool)];
}

/** The pools that read a credential from this Secret. */
function poolsNaming({ metadata: { namespace, name } }: KubeObject, { caches }: View): readonly PoolName[] {
  return caches.pools
    .all()
    .filter(({ metadata }) => metadata.namespace === namespace)
    .filter((pool) => readPool(pool).manifest?.keys.some(({ secretRef }) => secretRef.name === name))
    .map(poolOf);
}

/** The pools whose status shows a wrong number of consumers. */
function poolsWithOtherConsumers({ caches, policy }: View): readonly PoolName[] {
  return caches.pools
    .all()
    .filter((pool) => statusOf(pool)['consumers'] !== policy.consumers(poolOf(pool)))
    .map(poolOf);
}
