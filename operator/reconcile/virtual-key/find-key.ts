import { type KeyName, keyName } from '../../../core/names.ts';
import type { FindKey, InjectedKey } from '../../inject/types.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { virtualKeys } from '../../kube/resources.ts';
import { within } from '../../kube/timing.ts';
import type { KubeClient, KubeObject } from '../../kube/types.ts';
import { isGone } from '../policy/declared.ts';
import { readKey } from '../policy/read.ts';

/** Maximum of parallel look-ups. Anybody in the cluster can cause them, so half of the connections stay free for other calls. */
const maxLookups = 2;
/** Well under the webhook's timeout. */
const timeoutMs = 2_000;
/** How long "not found" is remembered. A key that is created in the meantime is still found, because the cache comes first. */
const missMs = 1_000;

/**
 * Finds keys in the cache, then at the API server: a key that was applied together with its Pod may not be in the cache yet.
 * Rejects if the API server does not answer in two seconds, and at once if too many look-ups are in flight.
 */
export function createFindKey(client: Pick<KubeClient, 'get'>, keys: Pick<Reflector, 'get'>): FindKey {
  /** Look-ups in flight, and for a moment those that found nothing. */
  const answers = new Map<KeyName, Promise<InjectedKey | null>>();
  let inFlight = 0;

  /** Looks a key up. It counts as in flight until the API server answers, also past the timeout, because it holds a connection. */
  function lookUp(namespace: string, name: string): Promise<InjectedKey | null> {
    if (inFlight >= maxLookups) return Promise.reject(new Error('too many look-ups of VirtualKeys at once'));
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
