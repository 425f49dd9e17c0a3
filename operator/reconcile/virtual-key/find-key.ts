import { type KeyName, keyName } from '../../../core/names.ts';
import type { FindKey, InjectedKey } from '../../inject/types.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { virtualKeys } from '../../kube/resources.ts';
import { within } from '../../kube/timing.ts';
import type { KubeClient, KubeObject } from '../../kube/types.ts';
import { isGone } from '../policy/declared.ts';
import { readKey } from '../policy/read.ts';

/** Anybody in the cluster can cause lookups: half of the connections to the API server are kept for everything else. */
const maxLookups = 2;
/** Well under the webhook's timeout. */
const timeoutMs = 2_000;
/** A key that is created meanwhile is found all the same: the cache comes first. */
const missMs = 1_000;

/**
 * Looks in the cache, then at the API server: a key that was applied together with its Pod may not have reached the cache.
 * Rejects where the API server does not answer in two seconds, and at once where too many lookups are in flight.
 */
export function createFindKey(client: Pick<KubeClient, 'get'>, keys: Pick<Reflector, 'get'>): FindKey {
  /** Lookups in flight, and for a moment those that found nothing. */
  const answers = new Map<KeyName, Promise<InjectedKey | null>>();
  let inFlight = 0;

  /** In flight until the API server has answered: so long it holds a connection, also past the timeout. */
  function lookUp(namespace: string, name: string): Promise<InjectedKey | null> {
    if (inFlight >= maxLookups) return Promise.reject(new Error('too many VirtualKeys are being looked up at once'));
    inFlight += 1;
    const found = client.get(virtualKeys, { namespace, name }).then(injectedKey);
    const answer = within(timeoutMs, found);
    const key = keyName(namespace, name);
    const forget = () => void answers.delete(key);
    answers.set(key, answer);
    const ended = (result: InjectedKey | null | undefined): void => {
      inFlight -= 1;
      if (result === null) setTimeout(forget, missMs).unref();
      else forget();
    };
    found.then(ended, () => ended(undefined));
    return answer;
  }

  return async (namespace, name) => {
    const cached = keys.get({ namespace, name });
    return cached === undefined ? (answers.get(keyName(namespace, name)) ?? lookUp(namespace, name)) : injectedKey(cached);
  };
}

function injectedKey(object: KubeObject | null): InjectedKey | null {
  if (object === null || isGone(object)) return null;
  const { manifest } = readKey(object);
  if (manifest === null) return null;
  const { secretName = object.metadata.name, delivery } = manifest.spec;
  return { secretName, sidecar: delivery.includes('Sidecar') };
}
