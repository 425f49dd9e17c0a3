import type { FindKey, InjectedKey } from '../../inject/types.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { virtualKeys } from '../../kube/resources.ts';
import type { KubeClient, KubeObject } from '../../kube/types.ts';
import { within } from '../../kube/within.ts';
import { isGone } from '../policy/declared.ts';
import { readKey } from '../policy/read.ts';

/** Anybody in the cluster may have names looked up: half of the connections to the API server stay for everything else. */
const mostLookUps = 2;
/** Well under the webhook's timeout. */
const longestMs = 2_000;
/** The cache is asked first: a key that is made meanwhile is found all the same. */
const missMs = 1_000;

/**
 * Looks in the cache, then at the API server: a key that was applied together with its Pod may not have reached the cache.
 * Rejects where the API server does not answer in two seconds, and at once where it is asked for too many names.
 */
export function createFindKey(client: Pick<KubeClient, 'get'>, keys: Pick<Reflector, 'get'>): FindKey {
  /** By place: what is being looked up, and for a moment what was not there. */
  const answers = new Map<string, Promise<InjectedKey | null>>();
  let underWay = 0;

  /** Counts until the API server has answered: so long it holds a connection, waited for or not. */
  function lookUp(namespace: string, name: string): Promise<InjectedKey | null> {
    if (underWay >= mostLookUps) return Promise.reject(new Error('too many VirtualKeys are being looked up at once'));
    underWay += 1;
    const found = client.get(virtualKeys, { namespace, name }).then(injectedKey);
    const answer = within(longestMs, found);
    const place = `${namespace}/${name}`;
    const forget = () => void answers.delete(place);
    answers.set(place, answer);
    const ended = (key: InjectedKey | null | undefined): void => {
      underWay -= 1;
      if (key === null) setTimeout(forget, missMs).unref();
      else forget();
    };
    found.then(ended, () => ended(undefined));
    return answer;
  }

  return async (namespace, name) => {
    const cached = keys.get({ namespace, name });
    return cached === undefined ? (answers.get(`${namespace}/${name}`) ?? lookUp(namespace, name)) : injectedKey(cached);
  };
}

function injectedKey(object: KubeObject | null): InjectedKey | null {
  if (object === null || isGone(object)) return null;
  const { manifest } = readKey(object);
  if (manifest === null) return null;
  const { secretName = object.metadata.name, delivery } = manifest.spec;
  return { secretName, sidecar: delivery.includes('Sidecar') };
}
