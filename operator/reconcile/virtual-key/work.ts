import { defined } from '../../../core/json.ts';
import { type KeyName, partsOf } from '../../../core/names.ts';
import { retirement, tokenIn } from '../../keys/token-secret.ts';
import type { Events } from '../../kube/events.ts';
import { refusalOf, writeSecret } from '../../kube/refused-write.ts';
import { secrets } from '../../kube/resources.ts';
import { type KubeClient, KubeError, type KubeObject } from '../../kube/types.ts';
import { rotateAnnotation } from '../../labels.ts';
import { announce, conditionsFor, warnOnce } from '../conditions.ts';
import type { Leadership } from '../leadership.ts';
import type { Caches } from '../policy/caches.ts';
import { isGone } from '../policy/declared.ts';
import type { Verdict } from '../policy/fallback.ts';
import type { PolicyHost } from '../policy/host.ts';
import type { PolicyController } from '../policy/policy.ts';
import { type StatusWriter, statusOf } from '../status-writer.ts';
import { type Decision, decide, type Gathered, secretNameOf } from './decision.ts';
import type { SpendBook } from './spend.ts';
import { ownLimitNear } from './status.ts';

interface KeyReconcilerDeps {
  /** Its writes fail if this replica does not lead. */
  readonly client: KubeClient;
  readonly host: PolicyHost;
  readonly caches: Pick<Caches, 'keys' | 'namespaces'>;
  readonly policy: Pick<PolicyController, 'verdict' | 'spec'>;
  readonly spend: SpendBook;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly gatewayUrl: string | null;
  readonly leadership: Pick<Leadership, 'leads'>;
  readonly clock: () => number;
}

/** Makes the reconciler of one key's token Secret and status. */
export function createKeyReconciler(deps: KeyReconcilerDeps): (key: KeyName) => Promise<{ readonly againInMs?: number }> {
  const reconciler = new KeyReconciler(deps);
  return (key) => reconciler.reconcile(key);
}

/** A key with work to do. */
interface Target {
  readonly key: KeyName;
  /** The object in the cache. */
  readonly cached: KubeObject;
  /** The object with the status that we wrote last. */
  readonly object: KubeObject;
  readonly verdict: Verdict;
}

/** The data about a key from the API server and the broker. */
type Found = Pick<Gathered, 'spec' | 'document' | 'token' | 'path' | 'secretName' | 'secret' | 'former'>;

class KeyReconciler {
  readonly #deps: KeyReconcilerDeps;
  /** Values of the annotation for which a rotation was made, in case the status cannot be written. */
  readonly #rotated = new Map<KeyName, string>();

  constructor(deps: KeyReconcilerDeps) {
    this.#deps = deps;
  }

  async reconcile(key: KeyName): Promise<{ readonly againInMs?: number }> {
    const cached = this.#deps.caches.keys.get(partsOf(key));
    if (cached === undefined || isGone(cached)) {
      this.#forget(key);
      return {};
    }
    const target = this.#targetOf(key, cached);
    if (target === null) return {};
    const rotated = this.#rotateIfRequested(target);
    const found = await this.#gather(target);
    if (found === null) return {};
    const { spend, gatewayUrl, clock } = this.#deps;
    const shared = { ...spend.show(key), gatewayUrl, rotated, nowMs: clock() };
    const gathered: Gathered = { ...target, ...found, ...shared, refused: null };
    const decision = decide(gathered);
    const refused = await refusalOf(this.#apply(gathered, decision));
    await this.#report(gathered, refused === null ? decision : decide({ ...gathered, refused: refused.message }));
    if (refused !== null) throw refused; // The queue retries, with growing delays.
    return { againInMs: decision.againInMs };
  }

  #forget(key: KeyName): void {
    this.#rotated.delete(key);
    this.#deps.spend.forget(key);
  }

  /** The target of a key; null if there is nothing to do until the next adoption. */
  #targetOf(key: KeyName, cached: KubeObject): Target | null {
    const { caches, policy, status } = this.#deps;
    // Nothing can be written to a namespace that is being deleted, and its content is deleted with it.
    const home = caches.namespaces.get({ name: partsOf(key).namespace });
    if (home !== undefined && isGone(home)) return null;
    // After a key was deleted and created again, the broker holds the previous token until the next adoption.
    const verdict = policy.verdict({ kind: 'VirtualKey', name: key }, cached.metadata.uid);
    return verdict === undefined ? null : { key, cached, object: status.latest(cached), verdict };
  }

  /**
   * Rotates if the annotation has a new value; returns the handled value. The store has the new token before the status has the
   * value. If this replica stops or loses leadership in between, the next leader rotates once more. The Secret then holds the second
   * token, and the first is valid for `rotation.overlap`, as after any rotation. The other order could lose a rotation.
   */
  #rotateIfRequested({ key, object }: Target): string | undefined {
    const { policy, leadership, host } = this.#deps;
    const wanted = object.metadata.annotations?.[rotateAnnotation]?.slice(0, 64);
    const { rotated: reported } = statusOf(object);
    const done = this.#rotated.get(key) ?? (typeof reported === 'string' ? reported : undefined);
    if (wanted === undefined || wanted === '' || wanted === done) return done;
    if (policy.spec(key)?.issueToken !== true || !leadership.leads()) return done;
    host.rotate(key, undefined, `annotation ${rotateAnnotation}`);
    this.#rotated.set(key, wanted);
    return wanted;
  }

  /** Gathers the data about a key; null if its life has not begun. An adoption then failed, and the next one reconciles the key again. */
  async #gather({ key, cached, object, verdict }: Target): Promise<Found | null> {
    const { client, host, policy } = this.#deps;
    const spec = policy.spec(key);
    if (spec?.issueToken === true && host.document(key) === null) return null;
    const { namespace } = partsOf(key);
    const secretName = secretNameOf(cached, verdict, spec);
    const { secretName: reported } = statusOf(object);
    const [secret, former] = await Promise.all([
      client.get(secrets, { namespace, name: secretName }),
      typeof reported === 'string' && reported !== secretName ? client.get(secrets, { namespace, name: reported }) : null,
    ]);
    return { spec, document: host.document(key), token: host.token(key), path: this.#pathTo(key), secretName, secret, former };
  }

  /** The path of a key through versions in force, where each parent exists and there is no cycle. */
  #pathTo(key: KeyName): Gathered['path'] {
    const spec = this.#deps.policy.spec(key);
    if (spec === undefined) return [];
    return [...(spec.parentRef === undefined ? [] : this.#pathTo(spec.parentRef)), { key, spec }];
  }

  async #apply({ object, secret, former }: Gathered, { write, retire }: Decision): Promise<void> {
    const values = [secret, former, write?.wanted ?? null].flatMap((held) => tokenIn(held) ?? []);
    if (write !== null) {
      const { name } = write.wanted.metadata;
      const advice =
        'Fix what refuses it (a quota, an admission policy, `immutable` in the Secret), or choose another name in spec.secretName';
      await writeSecret({ secret: name, advice, values }, () => this.#put(write, secret));
    }
    for (const old of retire) await this.#retire(old, object, values);
  }

  #put({ kind, wanted }: NonNullable<Decision['write']>, held: KubeObject | null): Promise<KubeObject> {
    const { client } = this.#deps;
    if (kind === 'create') return client.create(secrets, wanted);
    // The uid: if somebody has replaced the Secret since it was read, the write fails and does not change theirs.
    return client.apply(secrets, { ...wanted, metadata: { ...wanted.metadata, ...defined({ uid: held?.metadata.uid }) } });
  }

  /** Removes the token from one of our Secrets. */
  async #retire(old: KubeObject, owner: KubeObject, values: readonly string[]): Promise<void> {
    const { client } = this.#deps;
    const at = { ...defined({ namespace: owner.metadata.namespace }), name: old.metadata.name };
    const advice = 'The token of this key no longer belongs there: fix what refuses the write, or delete that Secret';
    try {
      await writeSecret({ secret: at.name, advice, values }, () => client.patch(secrets, at, retirement(old, owner)));
    } catch (error) {
      const isRefused = error instanceof KubeError && [404, 409, 422].includes(error.status);
      // If the Secret was deleted or replaced, there is nothing to do.
      if (!isRefused || (await client.get(secrets, at))?.metadata.uid === old.metadata.uid) throw error;
    }
  }

  async #report({ object, nowMs }: Gathered, { conditions: states, fields }: Decision): Promise<void> {
    const conditions = conditionsFor(object, states, nowMs);
    announce(this.#deps.events, object, conditions);
    warnOnce(this.#deps.events, object, conditions, { type: 'NearLimit', reason: ownLimitNear });
    await this.#deps.status.write(object, { conditions, observedGeneration: object.metadata.generation, ...fields });
  }
}
