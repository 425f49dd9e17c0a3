import type { Logger } from 'pino';
import type { FindKey } from '../inject/types.ts';
import type { Events } from '../kube/events.ts';
import { providerPools, virtualKeys } from '../kube/resources.ts';
import type { KubeClient } from '../kube/types.ts';
import type { Random } from '../vault/aead.ts';
import { createKeyRingSecret, type KeyRingSecret } from '../vault/key-ring-secret.ts';
import type { Changes } from './changes.ts';
import { type Leadership, leadOnly, type Term } from './leadership.ts';
import { type Caches, createCaches, type OnChange } from './policy/caches.ts';
import type { PolicyHost } from './policy/host.ts';
import { createPolicyController, type PolicyController } from './policy/policy.ts';
import { createOpenedVaults } from './provider-pool/opened-vaults.ts';
import { createPoolReconciler } from './provider-pool/work.ts';
import { Queues, type Reconcilers } from './queues.ts';
import { createStatusWriter, type StatusWriter } from './status-writer.ts';
import { createFindKey } from './virtual-key/find-key.ts';
import { SpendBook } from './virtual-key/spend.ts';
import { createTokenWatch, type TokenWatch } from './virtual-key/token-watch.ts';
import { createKeyReconciler } from './virtual-key/work.ts';
import { type View, wokenBy } from './wakes.ts';

const defaultRefreshMs = 30_000;
const keyFields = ['conditions', 'observedGeneration', 'keyHint', 'secretName', 'rotated'];
const spendFields = ['spent', 'remaining', 'window', 'windowEndsAt', 'requestsUsed', 'activeProxies'];
const poolFields = ['conditions', 'observedGeneration', 'credentials', 'consumers'];

interface ControllerDeps {
  readonly client: KubeClient;
  readonly host: PolicyHost;
  readonly events: Events;
  /** The operator's own namespace, with vault and root keys. */
  readonly namespace: string;
  /** The namespaces from which the operator reads ProviderPools and their Secrets. */
  readonly poolNamespaces: readonly string[];
  /** Origin of the gateway, for the token Secrets of its keys; null: there is none. */
  readonly gatewayUrl: string | null;
  readonly leadership: Leadership;
  /** Carries changes that broker, sessions and controllers report. */
  readonly changes: Changes;
  readonly random: Random;
  /** Wall clock, milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
  /** How often a status may show new spend. Default 30 s. */
  readonly refreshMs?: number;
}

/** The controllers of one replica. All replicas watch and adopt; only the leader's write. */
export interface Controllers {
  /** Settles when every kind has been listed once. */
  readonly synced: Promise<void>;
  /** Settles when the first policy is adopted, from complete caches only: an empty policy would end every key. */
  readonly adopted: Promise<void>;
  readonly findKey: FindKey;
  /** By kind: number of objects whose latest version is not in force. */
  problems(): ReadonlyMap<string, number>;
  /** By kind: milliseconds since the last message of the API server; over two minutes means stale. */
  staleForMs(): ReadonlyMap<string, number>;
  readonly counters: Readonly<Counters>;
  /** Call it after this replica has stopped leading. */
  close(): Promise<void>;
}

/** Counts since the start. */
interface Counters {
  adoptions: number;
  reconciles: number;
  failures: number;
}

/** Starts the controllers. They watch at once, and write from the next term on. */
export function startControllers(deps: ControllerDeps): Controllers {
  const { client, host, namespace, leadership, changes, random, clock, logger, refreshMs = defaultRefreshMs } = deps;
  const counters: Counters = { adoptions: 0, reconciles: 0, failures: 0 };
  const leader = leadOnly(client, leadership);
  const status = statusWriters(leader);
  const keyRing = createKeyRingSecret({ client: leader, namespace, random, onChange: () => changes.emit('keyRing', null), logger });
  const spend = new SpendBook(host, refreshMs, clock);
  const caches = createWatchedCaches(deps, status);
  const vault = createOpenedVaults(caches.vaults, keyRing.ring, namespace);
  const policy = createPolicyController({
    host,
    caches,
    poolNamespaces: deps.poolNamespaces,
    opened: (pool) => vault(pool).credentials,
    onAdopted(changed) {
      counters.adoptions += 1;
      spend.renew();
      changes.emit('adoption', changed);
    },
    logger,
  });
  const tokens = createTokenWatch({ host, keys: caches.keys, onChange: (keys) => changes.emit('tokens', keys) });
  const queues = new Queues(counters, logger);
  const common = { ...deps, client: leader, caches, policy };
  const pools = createPoolReconciler({ ...common, vault, keyRing, status: status.pools });
  // New for each term, because another replica may have made rotations that an old reconciler does not know.
  const reconcilers = (): Reconcilers => ({ keys: createKeyReconciler({ ...common, spend, status: status.keys }), pools });

  subscribe(changes, { view: { namespace, caches, status, policy }, policy, keyRing, tokens, queues });
  leadership.onTerm((term) => lead(term, { changes, caches, policy, spend, tokens, queues, reconcilers, refreshMs }));
  caches.start();
  keyRing.refresh();
  void Promise.all([caches.synced, keyRing.firstRead]).then(() => policy.begin());

  return {
    synced: caches.synced,
    adopted: policy.adopted,
    findKey: createFindKey(client, caches.keys),
    problems: () => policy.problems(),
    staleForMs: () => caches.staleForMs(),
    counters,
    async close() {
      policy.close();
      keyRing.close();
      await caches.close();
    },
  };
}

type StatusWriters = Readonly<Record<'keys' | 'pools', StatusWriter>>;

function statusWriters(client: KubeClient): StatusWriters {
  return {
    keys: createStatusWriter(client, virtualKeys, [...keyFields, ...spendFields]),
    pools: createStatusWriter(client, providerPools, poolFields),
  };
}

function createWatchedCaches({ client, namespace, poolNamespaces, changes, logger }: ControllerDeps, status: StatusWriters): Caches {
  const emit =
    (kind: 'virtualKey' | 'providerPool' | 'namespace' | 'vault' | 'secret'): OnChange =>
    (type, object, previous) => {
      if (type === 'gone' && kind === 'virtualKey') status.keys.forget(object.metadata.uid ?? '');
      if (type === 'gone' && kind === 'providerPool') status.pools.forget(object.metadata.uid ?? '');
      changes.emit(kind, { type, object, previous });
    };
  return createCaches({
    client,
    namespace,
    poolNamespaces,
    logger,
    onKey: emit('virtualKey'),
    onPool: emit('providerPool'),
    onNamespace: emit('namespace'),
    onVault: emit('vault'),
    onSecret: emit('secret'),
  });
}

interface Sleepers {
  readonly view: View;
  readonly policy: PolicyController;
  readonly keyRing: KeyRingSecret;
  readonly tokens: TokenWatch;
  readonly queues: Queues;
}

/** Wakes the controllers that have work after a change. Keys and pools are reconciled only while this replica leads. */
function subscribe(changes: Changes, { view, policy, keyRing, tokens, queues }: Sleepers): void {
  changes.subscribe((kind, change) => {
    const woken = wokenBy(kind, change, view);
    if (woken.policy) policy.touch();
    if (woken.keyRing) keyRing.refresh();
    if (!queues.isOpen) return;
    if (woken.tokens) tokens.compareSoon();
    queues.add(woken);
  });
}

interface TermParts {
  readonly changes: Changes;
  readonly caches: Caches;
  readonly policy: PolicyController;
  readonly spend: SpendBook;
  readonly tokens: TokenWatch;
  readonly queues: Queues;
  readonly reconcilers: () => Reconcilers;
  readonly refreshMs: number;
}

/** Reconciles everything, then each change, until the term ends. Settles when the last write has ended. */
function lead(
  { signal, inform }: Term,
  { changes, caches, policy, spend, tokens, queues, reconcilers, refreshMs }: TermParts,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  // Not earlier: a key that the previous leader saw and this cache does not hold yet would lose its life.
  void Promise.all([policy.adopted, caches.keys.fresh()]).then(() => {
    if (signal.aborted) return;
    inform();
    policy.begin();
    queues.open(reconcilers());
    timer = setInterval(() => changes.emit('spend', spend.takeDue()), refreshMs);
    changes.emit('leader', null);
  });
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      tokens.stop();
      resolve(queues.close());
    });
  });
}
