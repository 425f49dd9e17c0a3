import type { Logger } from 'pino';
import { createReflector, type Reflector } from '../../kube/reflector.ts';
import { namespaces, providerPools, secrets, virtualKeys } from '../../kube/resources.ts';
import type { KubeClient, KubeObject, ObjectPlace } from '../../kube/types.ts';
import { managedLabel, managedValue, poolAnnotation, rotateAnnotation, vaultLabel } from '../../labels.ts';

/** Called with each change: `put` for new and changed objects. `previous` is undefined if the object is new. */
export type OnChange = (kind: 'put' | 'gone', object: KubeObject, previous: KubeObject | undefined) => void;

/** The objects that the controllers watch. */
export interface Caches {
  readonly keys: Reflector;
  readonly pools: Reflector;
  /** Metadata only. */
  readonly namespaces: Reflector;
  /** Sealed credentials, in the operator's own namespace. */
  readonly vaults: Reflector;
  /** The metadata of a Secret in the operator's or a pool namespace; undefined if there is none. */
  secret(at: ObjectPlace): KubeObject | undefined;
  /** Settles when every kind has been listed once. */
  readonly synced: Promise<void>;
  /** By kind: milliseconds since the last sign of life from the API server. */
  staleForMs(): ReadonlyMap<string, number>;
  start(): void;
  close(): Promise<void>;
}

interface CachesDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly poolNamespaces: readonly string[];
  readonly logger: Logger;
  readonly onKey: OnChange;
  readonly onPool: OnChange;
  readonly onNamespace: OnChange;
  readonly onVault: OnChange;
  readonly onSecret: OnChange;
}

/** Makes the caches, not started yet. */
export function createCaches(deps: CachesDeps): Caches {
  const { client, namespace, logger } = deps;
  const common = { client, logger, transform: withOurAnnotations };
  const keys = createReflector({ ...common, resource: virtualKeys, scope: {}, onChange: deps.onKey });
  const pools = createReflector({ ...common, resource: providerPools, scope: {}, onChange: deps.onPool });
  const named = createReflector({ ...common, resource: namespaces, scope: { content: 'metadata' }, onChange: deps.onNamespace });
  const vaults = createReflector({
    ...common,
    resource: secrets,
    scope: { namespace, labelSelector: `${managedLabel}=${managedValue},${vaultLabel}` },
    onChange: deps.onVault,
  });
  const bare = new Map(
    [...new Set([namespace, ...deps.poolNamespaces])].map((name): [string, Reflector] => [
      name,
      createReflector({ ...common, resource: secrets, scope: { namespace: name, content: 'metadata' }, onChange: deps.onSecret }),
    ]),
  );
  const all = [keys, pools, named, vaults, ...bare.values()];
  return {
    keys,
    pools,
    namespaces: named,
    vaults,
    secret: (at) => bare.get(at.namespace ?? '')?.get(at),
    synced: Promise.all(all.map((cache) => cache.synced)).then(() => undefined),
    staleForMs: () =>
      new Map([
        ['VirtualKey', keys.staleForMs()],
        ['ProviderPool', pools.staleForMs()],
        ['Namespace', named.staleForMs()],
        ['Secret', Math.max(...[vaults, ...bare.values()].map((cache) => cache.staleForMs()))],
      ]),
    start() {
      for (const cache of all) cache.start();
    },
    async close() {
      await Promise.all(all.map((cache) => cache.close()));
    },
  };
}

const ourAnnotations: readonly string[] = [poolAnnotation, rotateAnnotation];

/** Keeps only the annotations that are read, because an object may have 256 KiB of them. */
function withOurAnnotations(object: KubeObject): KubeObject {
  const { managedFields: _, annotations = {}, ...metadata } = object.metadata;
  const ours = Object.entries(annotations).filter(([name]) => ourAnnotations.includes(name));
  return { ...object, metadata: { ...metadata, annotations: Object.fromEntries(ours) } as KubeObject['metadata'] };
}
