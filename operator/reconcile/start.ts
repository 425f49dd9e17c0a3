import type { Logger } from 'pino';
import { type KeyName, type PoolName, tokenId } from '../../core/names.ts';
import type { FindKey } from '../inject/types.ts';
import type { Events } from '../kube/events.ts';
import { createQueue, type Queue } from '../kube/queue.ts';
import { providerPools, virtualKeys } from '../kube/resources.ts';
import type { KubeClient, KubeObject } from '../kube/types.ts';
import type { Random } from '../vault/aead.ts';
import { rootKeySecret } from '../vault/ring.ts';
import { createRootKeys } from '../vault/root-keys.ts';
import { createRootWatch } from '../vault/root-watch.ts';
import { leadOnly } from './lead-only.ts';
import { poolAnnotation } from './names.ts';
import { createCaches } from './policy/caches.ts';
import type { PolicyHost } from './policy/host.ts';
import { createPolicyController } from './policy/policy.ts';
import { keyOf, poolOf, readPool } from './policy/read.ts';
import { createOpenedVaults } from './provider-pool/opened-vaults.ts';
import { createProviderPoolWork } from './provider-pool/work.ts';
import { createStatusWriter, statusOf } from './status-writer.ts';
import { createFindKey } from './virtual-key/find-key.ts';
import { createSpendBook } from './virtual-key/spend.ts';
import { createVirtualKeyWork } from './virtual-key/work.ts';

const refreshMs = 30_000;
/** Changes of the broker are looked at together. */
const changedMs = 50;
const concurrency = 8;
const backOff = { firstMs: 250, mostMs: 60_000 };

export interface ControllerDeps {
  readonly client: KubeClient;
  readonly host: PolicyHost;
  readonly events: Events;
  /** The operator's own: vault and root keys are there. */
  readonly namespace: string;
  /** Where ProviderPools are served and their Secrets are read. */
  readonly poolNamespaces: readonly string[];
  /** Origin of the gateway, for the token Secrets of keys that it serves; null: there is none. */
  readonly gatewayUrl: string | null;
  /** True only while this replica certainly leads; asked right before each write. */
  readonly leads: () => boolean;
  readonly random: Random;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** How often spend is shown anew. Default 30 s. */
  readonly refreshMs?: number;
}

/** The controllers of one replica: each watches and adopts; the one that leads writes. */
export interface Controllers {
  /** Every kind was listed once. */
  readonly synced: Promise<void>;
  /** The first policy is served. Never from caches that are not full: an empty policy would kill every key. */
  readonly adopted: Promise<void>;
  readonly findKey: FindKey;
  /** Writes from now on, as soon as the first policy is served. */
  lead(): void;
  /** Starts no more writes. */
  unlead(): Promise<void>;
  /** True while this replica leads, and knows of every key that was declared when it began to. */
  decides(): boolean;
  /** Something of a key changed in the broker, its token or its proxies. */
  requeue(key: KeyName): void;
  /** Something changed in the broker, no matter of which key: those whose token or policy is another are looked at. */
  requeueAll(): void;
  /** By kind: objects that are not served as they are written. */
  problems(): ReadonlyMap<string, number>;
  /** By kind: since the API server last said anything of it, milliseconds; over two minutes means out of date. */
  staleForMs(): ReadonlyMap<string, number>;
  readonly counters: Readonly<Counters>;
  close(): Promise<void>;
}

/** Since the start. */
export interface Counters {
  adoptions: number;
  reconciles: number;
  failures: number;
}

/** One time of leading. */
interface Term {
  isInformed: boolean;
}

/** Starts watching at once. */
export function startControllers(deps: ControllerDeps): Controllers {
  const { client, namespace, poolNamespaces, logger } = deps;
  const counters: Counters = { adoptions: 0, reconciles: 0, failures: 0 };
  const leader = leadOnly(client, () => term !== null && deps.leads());
  const rootKeys = createRootKeys({ client: leader, namespace, random: deps.random, onChange: rootChanged, logger });
  const rootWatch = createRootWatch(rootKeys, logger);
  const keyFields = ['conditions', 'observedGeneration', 'keyHint', 'secretName', 'rotated'];
  const spendFields = ['spent', 'remaining', 'window', 'windowEndsAt', 'requestsUsed', 'activeProxies'];
  const keyStatus = createStatusWriter(leader, virtualKeys, [...keyFields, ...spendFields]);
  const poolStatus = createStatusWriter(leader, providerPools, ['conditions', 'observedGeneration', 'credentials', 'consumers']);
  const prints = new Map<KeyName, string>();
  let changing: NodeJS.Timeout | undefined;
  let term: Term | null = null;
  let queues: { readonly keys: Queue; readonly pools: Queue; readonly tick: NodeJS.Timeout } | null = null;

  const caches = createCaches({
    client,
    namespace,
    poolNamespaces,
    logger,
    onKey(kind, object, previous) {
      if (kind === 'gone' || isNews(object, previous)) policy.touch();
      if (kind === 'gone') {
        prints.delete(keyOf(object));
        keyStatus.forget(object.metadata.uid ?? '');
      }
      if (!keyStatus.isOwn(object) || kind === 'gone') queues?.keys.add(keyOf(object));
    },
    onPool(kind, object, previous) {
      if (kind === 'gone' || isNews(object, previous)) policy.touch();
      if (kind === 'gone') poolStatus.forget(object.metadata.uid ?? '');
      if (!poolStatus.isOwn(object) || kind === 'gone') queues?.pools.add(poolOf(object));
    },
    onNamespace(kind, object, previous) {
      if (kind === 'gone' || previous === undefined || labelsOf(object) !== labelsOf(previous)) policy.touch();
    },
    onVault(_kind, object) {
      policy.touch();
      const pool = object.metadata.annotations?.[poolAnnotation];
      if (pool !== undefined) queues?.pools.add(pool);
    },
    onSecret(_kind, { metadata }) {
      if (metadata.namespace === namespace && metadata.name === rootKeySecret) rootWatch.look();
      for (const pool of poolsNaming(metadata.namespace, metadata.name)) queues?.pools.add(pool);
    },
  });
  const vault = createOpenedVaults(caches.vaults, rootKeys.ring, namespace);
  const policy = createPolicyController({
    host: deps.host,
    caches,
    poolNamespaces,
    opened: (pool) => vault(pool).credentials,
    onAdopted(changed) {
      counters.adoptions += 1;
      spend.renew();
      for (const id of changed) {
        const [kind = '', name = ''] = id.split(' ');
        (kind === 'VirtualKey' ? queues?.keys : queues?.pools)?.add(name);
      }
    },
    logger,
  });
  const spend = createSpendBook(deps.host, deps.refreshMs ?? refreshMs, deps.clock);
  const common = { ...deps, client: leader, caches, policy };
  const poolWork = createProviderPoolWork({ ...common, vault, rootKeys, status: poolStatus });

  function rootChanged(): void {
    policy.touch();
    for (const pool of caches.pools.all()) queues?.pools.add(poolOf(pool));
  }

  function poolsNaming(inNamespace: string | undefined, secret: string): readonly PoolName[] {
    return caches.pools
      .all()
      .filter(({ metadata }) => metadata.namespace === inNamespace)
      .filter((pool) => readPool(pool).manifest?.keys.some(({ secretRef }) => secretRef.name === secret))
      .map(poolOf);
  }

  function queueOf(work: (key: string) => Promise<{ readonly againInMs?: number }>): Queue {
    return createQueue({
      work(key) {
        counters.reconciles += 1;
        return work(key);
      },
      concurrency,
      backOff,
      logger,
      onError: () => {
        counters.failures += 1;
      },
    });
  }

  function openQueues(): void {
    if (queues !== null) return;
    const tick = setInterval(refresh, deps.refreshMs ?? refreshMs);
    // New with each term: what it remembers of rotations another may have gone beyond.
    const keyWork = createVirtualKeyWork({ ...common, spend, status: keyStatus });
    const opened = { keys: queueOf((key) => keyWork(key as KeyName)), pools: queueOf((pool) => poolWork(pool as PoolName)), tick };
    queues = opened;
    for (const object of caches.keys.all()) opened.keys.add(keyOf(object));
    for (const object of caches.pools.all()) opened.pools.add(poolOf(object));
    // Those of pools that were deleted while nobody led are among them.
    for (const { metadata } of caches.vaults.all()) {
      const pool = metadata.annotations?.[poolAnnotation];
      if (pool !== undefined) opened.pools.add(pool);
    }
  }

  /** What changes without an object changing. */
  function refresh(): void {
    for (const key of spend.due()) queues?.keys.add(key);
    const stale = caches.pools.all().filter((pool) => statusOf(pool)['consumers'] !== policy.consumers(poolOf(pool)));
    for (const pool of stale) queues?.pools.add(poolOf(pool));
  }

  /** The broker tells of every change, its own adoptions too: what people would see no difference in is left alone. */
  function lookAtTokens(): void {
    changing = undefined;
    for (const object of caches.keys.all()) {
      const key = keyOf(object);
      const token = deps.host.token(key);
      const print = `${token === null ? '' : tokenId(token)} ${deps.host.document(key)?.digest}`;
      if (prints.get(key) === print) continue;
      prints.set(key, print);
      queues?.keys.add(key);
    }
  }

  async function unlead(): Promise<void> {
    term = null;
    if (queues === null) return;
    const { keys, pools, tick } = queues;
    queues = null;
    clearInterval(tick);
    clearTimeout(changing);
    changing = undefined;
    await Promise.all([keys.close(), pools.close()]);
  }

  caches.start();
  rootWatch.look();
  void Promise.all([caches.synced, rootWatch.read]).then(policy.begin);

  return {
    synced: caches.synced,
    adopted: policy.adopted,
    findKey: createFindKey(client, caches.keys),
    lead() {
      const begun: Term = { isInformed: false };
      term = begun;
      // A key that the one before saw declared, and this copy not yet, would else lose its life.
      void Promise.all([policy.adopted, caches.keys.fresh()]).then(() => {
        if (term !== begun) return;
        begun.isInformed = true;
        policy.begin();
        openQueues();
      });
    },
    unlead,
    decides: () => term?.isInformed === true && deps.leads(),
    requeue: (key) => queues?.keys.add(key),
    requeueAll() {
      if (queues !== null) changing ??= setTimeout(lookAtTokens, changedMs);
    },
    problems: policy.problems,
    staleForMs: caches.staleForMs,
    counters,
    async close() {
      policy.close();
      rootWatch.close();
      await unlead();
      await caches.close();
    },
  };
}

/** True where more than the status or an annotation changed. */
function isNews({ metadata }: KubeObject, previous: KubeObject | undefined): boolean {
  if (previous === undefined) return true;
  const { generation, deletionTimestamp } = previous.metadata;
  return metadata.generation !== generation || metadata.deletionTimestamp !== deletionTimestamp;
}

function labelsOf({ metadata }: KubeObject): string {
  return JSON.stringify(metadata.labels ?? {});
}
