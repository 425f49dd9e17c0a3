import type { FindKey, InjectedKey } from '../injector/types.ts';
import type { Reflector } from '../kube/reflector.ts';
import { virtualKeys } from '../kube/resources.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import { isGone } from './declared.ts';
import { readKey } from './read.ts';

/** Looks in the cache, then at the API server: a key that was applied together with its Pod may not have reached the cache. */
export function createFindKey(client: Pick<KubeClient, 'get'>, keys: Pick<Reflector, 'get'>): FindKey {
  return async (namespace, name) => {
    const cached = keys.get({ namespace, name });
    const object = cached ?? (await client.get(virtualKeys, { namespace, name }));
    return object === null || isGone(object) ? null : injectedKey(object);
  };
}

function injectedKey(object: KubeObject): InjectedKey | null {
  const { manifest } = readKey(object);
  if (manifest === null) return null;
  const { secretName = object.metadata.name, delivery } = manifest.spec;
  return { secretName, sidecar: delivery.includes('Sidecar') };
}
