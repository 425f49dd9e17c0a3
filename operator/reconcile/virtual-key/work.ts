import { type KeyName, partsOf } from '../../../core/names.ts';
import { retirement, tokenIn } from '../../keys/token-secret.ts';
import type { Events } from '../../kube/events.ts';
import { refusalOf, writeSecret } from '../../kube/refused-write.ts';
import { secrets } from '../../kube/resources.ts';
import { type KubeClient, KubeError, type KubeObject } from '../../kube/types.ts';
import { announce } from '../announce.ts';
import { rotateAnnotation } from '../names.ts';
import type { Caches } from '../policy/caches.ts';
import { isGone } from '../policy/declared.ts';
import type { PolicyHost } from '../policy/host.ts';
import type { PolicyController } from '../policy/policy.ts';
import { idOf } from '../policy/read.ts';
import { conditionsFor, type StatusWriter, statusOf } from '../status-writer.ts';
import { type Decision, decide, type Gathered, secretNameOf } from './decision.ts';
import type { SpendBook } from './spend.ts';

export interface VirtualKeyDeps {
  /** Its writes fail where this replica does not lead. */
  readonly client: KubeClient;
  readonly host: PolicyHost;
  readonly caches: Pick<Caches, 'keys' | 'namespaces'>;
  readonly policy: Pick<PolicyController, 'verdict' | 'spec' | 'unserved'>;
  readonly spend: SpendBook;
  readonly status: StatusWriter;
  readonly events: Events;
  readonly gatewayUrl: string | null;
  /** True only while this replica certainly leads. */
  readonly leads: () => boolean;
  readonly clock: () => number;
}

/** Brings the token Secret and the status of one key to what they should be. */
export function createVirtualKeyWork(deps: VirtualKeyDeps): (key: KeyName) => Promise<{ readonly againInMs?: number }> {
  const { client, host } = deps;
  /** Values of the annotation that were acted upon, should writing the status have failed. */
  const handled = new Map<KeyName, string>();

  return async (key) => {
    const gathered = await gather(key);
    if (gathered === null) return {};
    const decision = decide(gathered);
    const refused = await refusalOf(apply(gathered, decision));
    await tellStatus(gathered, refused === null ? decision : decide({ ...gathered, refused: refused.message }));
    if (refused !== null) throw refused; // to be tried again, ever more seldom
    return { againInMs: decision.againInMs };
  };

  async function gather(key: KeyName): Promise<Gathered | null> {
    const { namespace, name } = partsOf(key);
    const cached = deps.caches.keys.get({ namespace, name });
    if (cached === undefined || isGone(cached)) {
      handled.delete(key);
      deps.spend.forget(key);
      return null;
    }
    // Into a namespace that ends nothing can be written, and all that is there goes with it.
    const home = deps.caches.namespaces.get({ name: namespace });
    // Of a key that was made again a moment ago the broker still holds the token of the one before.
    const verdict = deps.policy.verdict(idOf('VirtualKey', key), cached.metadata.uid);
    if ((home !== undefined && isGone(home)) || verdict === undefined) return null;
    const object = deps.status.latest(cached);
    const rotated = rotateOnce(key, object);
    const spec = deps.policy.spec(key);
    // Its life has not begun yet: an adoption failed, and the next one that begins it brings the key back here.
    if (spec?.issueToken === true && host.document(key) === null) return null;
    const secretName = secretNameOf(cached, verdict, spec);
    const before = statusOf(object)['secretName'];
    const [secret, former] = await Promise.all([
      client.get(secrets, { namespace, name: secretName }),
      typeof before === 'string' && before !== secretName ? client.get(secrets, { namespace, name: before }) : null,
    ]);
    const document = host.document(key);
    return {
      key,
      object,
      verdict,
      spec,
      document,
      token: host.token(key),
      path: pathTo(key),
      secretName,
      secret,
      former,
      refused: null,
      ...deps.spend.shown(key),
      unserved: deps.policy.unserved(),
      gatewayUrl: deps.gatewayUrl,
      rotated,
      nowMs: deps.clock(),
    };
  }

  /** By what is served, whose parents are there and which has no cycle. */
  function pathTo(key: KeyName): Gathered['path'] {
    const spec = deps.policy.spec(key);
    if (spec === undefined) return [];
    return [...(spec.parentRef === undefined ? [] : pathTo(spec.parentRef)), { key, spec }];
  }

  /**
   * The value of the annotation that is done with; a new one rotates first. The store has the new token before the status has the value:
   * where this replica ends, or leads no more, in between, the next that leads rotates once more. Holders then find the second token
   * in the Secret, and the first is good for `rotation.overlap`, as after any rotation. The other order could lose a rotation.
   */
  function rotateOnce(key: KeyName, object: KubeObject): string | undefined {
    const wanted = object.metadata.annotations?.[rotateAnnotation]?.slice(0, 64);
    const told = statusOf(object)['rotated'];
    const done = handled.get(key) ?? (typeof told === 'string' ? told : undefined);
    if (wanted === undefined || wanted === '' || wanted === done) return done;
    if (deps.policy.spec(key)?.issueToken !== true || !deps.leads()) return done;
    host.rotate(key, undefined, `annotation ${rotateAnnotation}`);
    handled.set(key, wanted);
    return wanted;
  }

  async function apply({ object, secret, former }: Gathered, { write, retire }: Decision): Promise<void> {
    const { namespace } = object.metadata;
    const values = [secret, former, write?.wanted ?? null].flatMap((held) => tokenIn(held) ?? []);
    if (write !== null) {
      const { name } = write.wanted.metadata;
      const advice =
        'Change what refuses it (a quota, an admission policy, `immutable` in the Secret), or choose another name in spec.secretName';
      await writeSecret({ secret: name, advice, values }, () => put(write, secret));
    }
    for (const old of retire) {
      const { name } = old.metadata;
      const advice = 'The token of this key does not belong there any more: change what refuses the write, or delete that Secret';
      const at = { ...(namespace !== undefined && { namespace }), name };
      await writeSecret({ secret: name, advice, values }, () => client.patch(secrets, at, retirement(old, object))).catch(
        async (error: unknown) => {
          const isRefused = error instanceof KubeError && [404, 409, 422].includes(error.status);
          // Gone, or another Secret by now: both are what was wanted.
          if (!isRefused || (await client.get(secrets, at))?.metadata.uid === old.metadata.uid) throw error;
        },
      );
    }
  }

  function put({ kind, wanted }: NonNullable<Decision['write']>, held: KubeObject | null): Promise<KubeObject> {
    if (kind === 'create') return client.create(secrets, wanted);
    const uid = held?.metadata.uid;
    // The uid: had the Secret that we looked at been replaced meanwhile, this would overwrite somebody else's.
    return client.apply(secrets, { ...wanted, metadata: { ...wanted.metadata, ...(uid !== undefined && { uid }) } });
  }

  async function tellStatus({ object, nowMs }: Gathered, { conditions: stated, fields }: Decision): Promise<void> {
    const conditions = conditionsFor(object, stated, nowMs);
    announce(deps.events, object, conditions);
    await deps.status.write(object, { conditions, observedGeneration: object.metadata.generation, ...fields });
  }
}
