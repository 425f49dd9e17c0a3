import type { Logger } from 'pino';
import type { Problem } from '../../../core/errors.ts';
import type { ProviderPool, VirtualKey, VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName, PoolName } from '../../../core/names.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Caches } from './caches.ts';
import { credentialsFor, type Good, isGone, keyCandidate, type Opened, poolCandidate } from './declared.ts';
import { adoptAround, type Candidate, type Verdict } from './fallback.ts';
import type { PolicyHost } from './host.ts';
import { idOf, type KeyReading, keyOf, poolOf, type Reading, readKey, readNamespace, readPool } from './read.ts';

/** Changes that come in a burst are adopted together: after this much quiet, and after this long at the latest. */
const quietMs = 20;
const longestMs = 200;
const retryMs = 1_000;

/** Assembles what is served from the caches. */
export interface PolicyController {
  /** Something that the policy is made of changed. Nothing happens before `begin`. */
  touch(): void;
  /** The caches are full: from here on, what is not in them is gone. */
  begin(): void;
  readonly adopted: Promise<void>;
  /** What became of an object in the last adoption; undefined where it was not in that, be it that an earlier one of its name was. */
  verdict(id: string, uid: string | undefined): Verdict | undefined;
  /** The spec that is served of a declared key, which may be an older one. */
  spec(key: KeyName): VirtualKeySpec | undefined;
  /** Pools that exist and are not served, with the reason. */
  unserved(): ReadonlyMap<PoolName, string>;
  /** How many keys use a pool now. */
  consumers(pool: PoolName): number;
  /** By kind: objects that are not served as they are written. */
  problems(): ReadonlyMap<string, number>;
  close(): void;
}

export interface PolicyDeps {
  readonly host: PolicyHost;
  readonly caches: Pick<Caches, 'keys' | 'pools' | 'namespaces'>;
  readonly poolNamespaces: readonly string[];
  readonly opened: (pool: PoolName) => Opened;
  /** After an adoption: ids of the objects for which it changed anything. */
  readonly onAdopted: (changed: readonly string[]) => void;
  readonly logger: Logger;
}

/** What an adoption left behind. */
interface Served {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly uids: ReadonlyMap<string, string | undefined>;
  readonly specs: ReadonlyMap<KeyName, VirtualKeySpec>;
  readonly unserved: ReadonlyMap<PoolName, string>;
  readonly consumers: ReadonlyMap<PoolName, number>;
  /** By id: differs where people would be told something else. */
  readonly prints: ReadonlyMap<string, string>;
}

/** The controller; nothing is adopted before `begin`, since an empty cache would kill every key. */
export function createPolicyController(deps: PolicyDeps): PolicyController {
  const { host, caches, logger } = deps;
  const keyReadings = new WeakMap<KubeObject, KeyReading>();
  const poolReadings = new WeakMap<KubeObject, Reading<ProviderPool>>();
  const goods = new Map<string, Good>();
  const firstAdoption = Promise.withResolvers<void>();
  let served: Served | null = null;
  let begun = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let touchedMs: number | null = null;
  /** As long as an adoption took, none follows: whoever edits one key again and again leaves half of the time for calls. */
  let restsUntilMs = 0;

  function schedule(inMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(adoptSafely, inMs);
  }

  function adoptSafely(): void {
    touchedMs = null;
    const startMs = performance.now();
    try {
      const before = served;
      served = adopt();
      const { prints } = served;
      const changed = [...new Set([...prints.keys(), ...(before?.prints.keys() ?? [])])];
      deps.onAdopted(changed.filter((id) => prints.get(id) !== before?.prints.get(id)));
      firstAdoption.resolve();
    } catch (error) {
      // The store cannot write, most likely: what is served stays, and so does what is due.
      logger.error({ err: error }, 'the policy could not be adopted; it is tried again in a second');
      schedule(retryMs);
    }
    const endMs = performance.now();
    restsUntilMs = endMs + (endMs - startMs);
  }

  function adopt(): Served {
    const keys = caches.keys.all().filter((object) => !isGone(object));
    const pools = caches.pools.all().filter((object) => !isGone(object));
    const uidById = new Map([...keys.map(uidOf('VirtualKey')), ...pools.map(uidOf('ProviderPool'))]);
    for (const [id, { uid }] of goods) if (uidById.get(id) !== uid) goods.delete(id);
    const uids = new Map(keys.map((object) => [keyOf(object), object.metadata.uid ?? '']));
    const createdAtMs = new Map(keys.flatMap(creationOf));
    const unserved = new Map(
      pools.flatMap((object) => {
        const why = whyUnserved(object);
        return why === null ? [] : [[poolOf(object), why] as const];
      }),
    );
    const candidates = [
      ...pools.map((object) => poolCandidateOf(object, unserved)),
      ...keys.map((object) => keyCandidate(keyOf(object), readingOf(object), goods.get(keyId(object)))),
    ];
    const parked = standInsOf(candidates);
    const namespaces = caches.namespaces.all().map(readNamespace);
    let adopted: readonly (VirtualKey | ProviderPool)[] = [];
    const verdicts = adoptAround(candidates, (tried) => {
      adopted = tried;
      const virtualKeys = tried.filter((manifest) => manifest.kind === 'VirtualKey');
      const served = tried.filter((manifest) => manifest.kind === 'ProviderPool');
      const credentials = credentialsFor(tried, deps.opened);
      const standIns = new Set(virtualKeys.filter((key) => parked.has(key)).map(({ name }) => name));
      const manifests = { virtualKeys, pools: served, namespaces, secrets: [] };
      return host.adopt({ manifests, credentials, missing: [], uids, createdAtMs, standIns });
    });
    for (const manifest of adopted) {
      const id = manifest.origin.file;
      const uid = uidById.get(id);
      if (uid !== undefined && verdicts.get(id)?.serving === 'declared') goods.set(id, { uid, manifest });
    }
    const told = withWithdrawn(verdicts, host.withdrawn());
    return conclude({ candidates, verdicts: told, manifests: adopted, unserved, objects: [...keys, ...pools] });
  }

  function readingOf(object: KubeObject): KeyReading {
    const known = keyReadings.get(object) ?? readKey(object);
    keyReadings.set(object, known);
    return known;
  }

  function poolReadingOf(object: KubeObject): Reading<ProviderPool> {
    const known = poolReadings.get(object) ?? readPool(object);
    poolReadings.set(object, known);
    return known;
  }

  function poolCandidateOf(object: KubeObject, unserved: ReadonlyMap<PoolName, string>): Candidate {
    const name = poolOf(object);
    const good = goods.get(idOf('ProviderPool', name));
    return poolCandidate(name, poolReadingOf(object), { good, unserved: unserved.get(name) ?? null });
  }

  function whyUnserved(object: KubeObject): string | null {
    const name = poolOf(object);
    const { namespace = '' } = object.metadata;
    if (!deps.poolNamespaces.includes(namespace)) return `namespace ${namespace} is not among the operator's --pool-namespaces`;
    const { manifest } = poolReadingOf(object);
    const opened = deps.opened(name);
    const usable = manifest === null ? opened.size > 0 : manifest.keys.some((key) => opened.has(key.name));
    return usable ? null : 'none of its credentials is usable; its status says why';
  }

  function conclude(round: Round): Served {
    const specs = new Map(
      round.manifests.flatMap((manifest) => (manifest.kind === 'VirtualKey' ? [[manifest.name, manifest.spec] as const] : [])),
    );
    const documents = [...specs.keys()].flatMap((key) => host.document(key) ?? []);
    const consumers = new Map<PoolName, number>();
    for (const { pools } of documents) for (const pool of pools) consumers.set(pool, (consumers.get(pool) ?? 0) + 1);
    const digests = new Map(documents.map(({ key, digest }) => [idOf('VirtualKey', key), digest]));
    const objects = new Map(round.objects.map((object) => [idOfObject(object), object.metadata]));
    const prints = new Map(
      round.candidates.map(({ id }) => {
        const { uid, generation } = objects.get(id) ?? {};
        return [id, JSON.stringify([uid, generation, round.verdicts.get(id), digests.get(id)])];
      }),
    );
    const uids = new Map([...objects].map(([id, { uid }]) => [id, uid]));
    return { verdicts: round.verdicts, uids, specs, unserved: round.unserved, consumers, prints };
  }

  return {
    touch() {
      if (!begun) return;
      const now = performance.now();
      touchedMs ??= now;
      schedule(Math.max(0, restsUntilMs - now, Math.min(quietMs, touchedMs + longestMs - now)));
    },
    begin() {
      if (closed) return;
      begun = true;
      adoptSafely();
    },
    adopted: firstAdoption.promise,
    verdict: (id, uid) => (served?.uids.get(id) === uid ? served?.verdicts.get(id) : undefined),
    spec: (key) => served?.specs.get(key),
    unserved: () => served?.unserved ?? new Map(),
    consumers: (pool) => served?.consumers.get(pool) ?? 0,
    problems() {
      const bad = [...(served?.verdicts ?? [])].filter(([, verdict]) => verdict.problems.length > 0);
      return new Map(['VirtualKey', 'ProviderPool'].map((kind) => [kind, bad.filter(([id]) => id.startsWith(`${kind} `)).length]));
    },
    close() {
      closed = true;
      begun = false;
      clearTimeout(timer);
    },
  };
}

interface Round {
  readonly candidates: readonly Candidate[];
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly manifests: readonly (VirtualKey | ProviderPool)[];
  readonly unserved: ReadonlyMap<PoolName, string>;
  readonly objects: readonly KubeObject[];
}

/** Pools that keys may not use are told at the keys, which are served without them. */
function withWithdrawn(verdicts: ReadonlyMap<string, Verdict>, withdrawn: readonly Problem[]): ReadonlyMap<string, Verdict> {
  const all = new Map(verdicts);
  for (const problem of withdrawn) {
    const verdict = all.get(problem.where);
    if (verdict?.serving === 'declared') all.set(problem.where, { ...verdict, problems: [...verdict.problems, problem] });
  }
  return all;
}

function creationOf(object: KubeObject): readonly (readonly [KeyName, number])[] {
  const createdMs = Date.parse(object.metadata.creationTimestamp ?? '');
  return Number.isNaN(createdMs) ? [] : [[keyOf(object), createdMs]];
}

/** What is served of keys that cannot be. */
function standInsOf(candidates: readonly Candidate[]): ReadonlySet<VirtualKey | ProviderPool> {
  const last = candidates.flatMap(({ steps }) => steps.filter(({ serving }) => serving === 'nothing'));
  return new Set(last.flatMap(({ manifest }) => manifest ?? []));
}

function keyId(object: KubeObject): string {
  return idOf('VirtualKey', keyOf(object));
}

function idOfObject(object: KubeObject): string {
  return object.kind === 'ProviderPool' ? idOf('ProviderPool', poolOf(object)) : keyId(object);
}

function uidOf(kind: 'VirtualKey' | 'ProviderPool'): (object: KubeObject) => [string, string] {
  return (object) => [idOf(kind, kind === 'VirtualKey' ? keyOf(object) : poolOf(object)), object.metadata.uid ?? ''];
}
