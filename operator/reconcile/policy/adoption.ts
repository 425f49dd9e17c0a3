import type { ProviderPool, VirtualKey, VirtualKeySpec } from '../../../core/manifest/types.ts';
import { type KeyName, type ObjectId, objectId, type PoolName } from '../../../core/names.ts';
import type { PoolFault, Problem } from '../../../core/problem.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Caches } from './caches.ts';
import { credentialsFor, isGone, keyCandidate, type LastGood, type Opened, poolCandidate } from './declared.ts';
import { type Adopted, adoptAround, type Candidate, type Verdict } from './fallback.ts';
import type { PolicyHost } from './host.ts';
import { type KeyReading, keyOf, poolOf, type Reading, readKey, readNamespace, readPool } from './read.ts';

/** The result of an adoption. */
export interface Adoption {
  readonly verdicts: ReadonlyMap<ObjectId, Verdict>;
  readonly uids: ReadonlyMap<ObjectId, string | undefined>;
  readonly specs: ReadonlyMap<KeyName, VirtualKeySpec>;
  readonly consumers: ReadonlyMap<PoolName, number>;
  /** By object: a text that changes if what people read changes. */
  readonly fingerprints: ReadonlyMap<ObjectId, string>;
}

export interface AdopterDeps {
  readonly host: PolicyHost;
  readonly caches: Pick<Caches, 'keys' | 'pools' | 'namespaces'>;
  readonly poolNamespaces: readonly string[];
  readonly opened: (pool: PoolName) => Opened;
}

/** The input of one adoption. */
interface Declared {
  readonly keys: readonly KubeObject[];
  readonly pools: readonly KubeObject[];
  readonly byId: ReadonlyMap<ObjectId, KubeObject>;
  /** Pools that exist and are not served. */
  readonly faults: ReadonlyMap<PoolName, PoolFault>;
}

/** Adopts what the caches hold. It remembers its reading and the last good version of each object. */
export class Adopter {
  readonly #deps: AdopterDeps;
  readonly #keyReadings = new WeakMap<KubeObject, KeyReading>();
  readonly #poolReadings = new WeakMap<KubeObject, Reading<ProviderPool>>();
  readonly #lastGood = new Map<ObjectId, LastGood>();

  constructor(deps: AdopterDeps) {
    this.#deps = deps;
  }

  /** Adopts. It throws if the store cannot write; then nothing has changed. */
  adopt(): Adoption {
    const declared = this.#declared();
    const { keys, pools, byId } = declared;
    this.#forgetReplaced(byId);
    const candidates = [
      ...pools.map((object) => this.#poolCandidate(object, declared)),
      ...keys.map((object) => keyCandidate(keyOf(object), this.#readKey(object), this.#lastGood.get(keyId(object)))),
    ];
    const adopted = this.#adoptAround(candidates, keys);
    this.#rememberGood(adopted, byId);
    return this.#conclude(adopted, declared);
  }

  #declared(): Declared {
    const { caches } = this.#deps;
    const keys = caches.keys.all().filter((object) => !isGone(object));
    const pools = caches.pools.all().filter((object) => !isGone(object));
    const byId = new Map([
      ...pools.map((object) => [poolId(object), object] as const),
      ...keys.map((object) => [keyId(object), object] as const),
    ]);
    return { keys, pools, byId, faults: new Map(pools.flatMap((object) => this.#faultOf(object))) };
  }

  #forgetReplaced(byId: Declared['byId']): void {
    for (const [id, { uid }] of this.#lastGood) {
      const object = byId.get(id);
      if (object === undefined || object.metadata.uid !== uid) this.#lastGood.delete(id);
    }
  }

  #adoptAround(candidates: readonly Candidate[], keys: readonly KubeObject[]): Adopted {
    const { host, caches, opened } = this.#deps;
    const uids = new Map(keys.map((object) => [keyOf(object), object.metadata.uid ?? '']));
    const createdAtMs = new Map(keys.flatMap(creationOf));
    const namespaces = caches.namespaces.all().map(readNamespace);
    const unserved = unservedIn(candidates);
    return adoptAround(candidates, (manifests) => {
      const virtualKeys = manifests.filter((manifest) => manifest.kind === 'VirtualKey');
      const pools = manifests.filter((manifest) => manifest.kind === 'ProviderPool');
      const standIns = new Set(virtualKeys.filter((key) => unserved.has(key)).map(({ name }) => name));
      return host.adopt({
        manifests: { virtualKeys, pools, namespaces, secrets: [] },
        credentials: credentialsFor(pools, opened),
        missing: [],
        uids,
        createdAtMs,
        standIns,
      });
    });
  }

  #rememberGood({ manifests, verdicts }: Adopted, byId: Declared['byId']): void {
    for (const manifest of manifests) {
      const id = objectId(manifest);
      const object = byId.get(id);
      if (object !== undefined && verdicts.get(id)?.serving === 'declared') {
        this.#lastGood.set(id, { uid: object.metadata.uid, manifest });
      }
    }
  }

  #conclude(adopted: Adopted, { byId, faults }: Declared): Adoption {
    const { host } = this.#deps;
    const keys = adopted.manifests.filter((manifest) => manifest.kind === 'VirtualKey');
    const documents = keys.flatMap(({ name }) => host.document(name) ?? []);
    const consumers = new Map<PoolName, number>();
    for (const { pools } of documents) for (const pool of pools) consumers.set(pool, (consumers.get(pool) ?? 0) + 1);
    const digests = new Map(documents.map(({ key, digest }) => [objectId({ kind: 'VirtualKey', name: key }), digest]));
    const verdicts = withWithdrawn(adopted.verdicts, host.withdrawn(), faults);
    const fingerprints = new Map(
      [...byId].map(([id, { metadata }]) => [id, JSON.stringify([metadata.uid, metadata.generation, verdicts.get(id), digests.get(id)])]),
    );
    const uids = new Map([...byId].map(([id, { metadata }]) => [id, metadata.uid]));
    return { verdicts, uids, specs: new Map(keys.map(({ name, spec }) => [name, spec])), consumers, fingerprints };
  }

  #readKey(object: KubeObject): KeyReading {
    const known = this.#keyReadings.get(object) ?? readKey(object);
    this.#keyReadings.set(object, known);
    return known;
  }

  #readPool(object: KubeObject): Reading<ProviderPool> {
    const known = this.#poolReadings.get(object) ?? readPool(object);
    this.#poolReadings.set(object, known);
    return known;
  }

  #poolCandidate(object: KubeObject, { faults }: Declared): Candidate {
    const name = poolOf(object);
    return poolCandidate(name, this.#readPool(object), { good: this.#lastGood.get(poolId(object)), fault: faults.get(name) });
  }

  #faultOf(pool: KubeObject): readonly (readonly [PoolName, PoolFault])[] {
    const name = poolOf(pool);
    const object = { kind: 'ProviderPool', name } as const;
    const { namespace = '' } = pool.metadata;
    if (!this.#deps.poolNamespaces.includes(namespace)) return [[name, { code: 'pool_outside_namespaces', object, namespace }]];
    const { manifest } = this.#readPool(pool);
    const opened = this.#deps.opened(name);
    const isUsable = manifest === null ? opened.size > 0 : manifest.keys.some((key) => opened.has(key.name));
    return isUsable ? [] : [[name, { code: 'pool_without_credentials', object }]];
  }
}

/** Adds pools that keys may not use as problems of those keys, which are active without them. */
function withWithdrawn(
  verdicts: ReadonlyMap<ObjectId, Verdict>,
  withdrawn: readonly Problem[],
  faults: ReadonlyMap<PoolName, PoolFault>,
): ReadonlyMap<ObjectId, Verdict> {
  const all = new Map(verdicts);
  for (const problem of withdrawn) {
    const id = problem.object && objectId(problem.object);
    const verdict = id && all.get(id);
    if (id === undefined || verdict?.serving !== 'declared') continue;
    all.set(id, { ...verdict, problems: [...verdict.problems, withPoolFault(problem, faults)] });
  }
  return all;
}

/** Replaces "pool not found" if the pool exists but is not served. */
export function withPoolFault(problem: Problem, faults: ReadonlyMap<PoolName, PoolFault>): Problem {
  if (problem.code !== 'pool_not_found') return problem;
  const { nearest: _, known: __, ...rest } = problem;
  const why = faults.get(problem.pool);
  return why === undefined ? problem : { ...rest, code: 'pool_not_served', why };
}

function creationOf(object: KubeObject): readonly (readonly [KeyName, number])[] {
  const createdMs = Date.parse(object.metadata.creationTimestamp ?? '');
  return Number.isNaN(createdMs) ? [] : [[keyOf(object), createdMs]];
}

/** The stand-ins of objects that cannot be served. */
function unservedIn(candidates: readonly Candidate[]): ReadonlySet<VirtualKey | ProviderPool> {
  const last = candidates.flatMap(({ versions }) => versions.filter(({ serving }) => serving === 'nothing'));
  return new Set(last.flatMap(({ manifest }) => manifest ?? []));
}

function keyId(object: KubeObject): ObjectId {
  return objectId({ kind: 'VirtualKey', name: keyOf(object) });
}

function poolId(object: KubeObject): ObjectId {
  return objectId({ kind: 'ProviderPool', name: poolOf(object) });
}
