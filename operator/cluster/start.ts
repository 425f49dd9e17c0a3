import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { KeyName } from '../../core/names.ts';
import type { Broker } from '../broker.ts';
import { drift } from '../inject/compare.ts';
import { createOutcomes } from '../inject/outcomes.ts';
import { type ReviewDeps, reviewAdmission } from '../inject/review.ts';
import { nearLimit } from '../keys/listing.ts';
import { connectKube } from '../kube/client.ts';
import { createEvents } from '../kube/events.ts';
import type { PriceDesk } from '../prices/desk.ts';
import { type Changes, createChanges } from '../reconcile/changes.ts';
import { createLeadership, type Leadership } from '../reconcile/leadership.ts';
import type { PolicyHost } from '../reconcile/policy/host.ts';
import { type Controllers, startControllers } from '../reconcile/start.ts';
import { createAttestor } from '../sessions/attest.ts';
import { type SessionEvents, type Sessions, serveSessions } from '../sessions/sessions.ts';
import { keepCertificate } from '../trust/publish.ts';
import type { Authority } from '../trust/types.ts';
import { startClusterAdmin } from './admin.ts';
import { type ClusterOptions, settingsOf } from './config.ts';
import { joinElection } from './election.ts';
import { type ClusterFigures, type ClusterMetrics, createClusterMetrics, createOperatorMetricsServer } from './metrics.ts';
import { type PodWatch, watchPods } from './pods.ts';
import { answerReviews, createOperatorServer, listenOn } from './server.ts';
import { openState } from './state.ts';
import { keepBundle, openTrust } from './trust.ts';

/** A running operator. */
interface ClusterOperator {
  /** The ports that it listens on. */
  readonly port: number;
  readonly metricsPort: number;
  /** Releases the Lease, ends sessions, and closes the store. */
  close(): Promise<void>;
}

/** Starts the control plane of a cluster; rejects if the API server, the data folder or an address prevents it. */
export async function startClusterOperator(options: ClusterOptions): Promise<ClusterOperator> {
  const { namespace, logger } = options;
  const parts = await assemble(options);
  const { broker, controllers } = parts;
  const metricsServer = createOperatorMetricsServer(parts.metrics.registry, () =>
    broker.live() === null ? 'the operator has not adopted its first policy yet' : null,
  );
  const metricsPort = await listenOn(metricsServer, options.metricsListen);
  const admin = await startClusterAdmin({
    client: parts.client,
    namespace,
    listen: options.adminListen,
    desk: broker.desk,
    prices: parts.prices,
    bounds: parts.bounds,
    logger,
  });
  const port = await listenOn(parts.server, options.listen);
  void controllers.adopted.then(() => logger.info('the first policy is in force'));
  parts.election.start();

  return {
    port,
    metricsPort,
    async close() {
      await parts.election.close();
      parts.stopShowing();
      await parts.sessions.close();
      parts.server.close();
      parts.server.closeIdleConnections();
      await parts.podWatch.close();
      await controllers.close();
      await parts.events.close();
      metricsServer.close();
      await admin.close();
      parts.authority.close();
      broker.close();
      parts.store.close();
      await parts.client.close();
    },
  };
}

/** Makes all parts, in order of their dependencies. Nothing listens yet, and this replica is not a candidate. */
async function assemble(options: ClusterOptions) {
  const { namespace, logger, identity, poolNamespaces, gatewayUrl } = options;
  const clock = Date.now;
  const metrics = createClusterMetrics();
  const changes = createChanges();
  const leadership = createLeadership();
  const election = joinElection(options, leadership);
  const client = connectKube({ kubeconfig: options.kubeconfig, logger });
  const { minor } = await client.version();
  const authority = await openTrust(options, client, clock);
  const state = openState(options, {
    clock,
    decides: leadership.decides,
    onAlarm: metrics.countAlarm,
    onChange: () => changes.emit('broker', null),
  });
  const { broker } = state;
  const events = createEvents({ client, component: 'keyforge.dev/operator', instance: identity, clock, logger });
  const gateway = options.gatewayServiceAccount === null ? null : { namespace, serviceAccount: options.gatewayServiceAccount };
  const settings = () => settingsOf(options, authority.rootPem());
  const imageDigests = new Set(options.proxyImageDigests);
  const server = createOperatorServer(logger);
  const attestor = createAttestor({
    kube: client,
    imageDigests,
    gateway,
    logger,
    drift: (pod) => drift(pod, settings(), { imageDigests, isRoot: (literal) => authority.accepts(literal) }),
  });
  const sessions = serveSessions({
    server,
    path: '/control',
    host: broker,
    attestor,
    events: sessionEvents(metrics, changes),
    monotonic: () => performance.now(),
    logger,
  });
  const host = hostOf(broker, sessions);
  const common = { client, events, leadership, logger };
  const controllers = startControllers({ ...common, host, namespace, poolNamespaces, gatewayUrl, changes, random: randomBytes, clock });
  leadership.onTerm(({ signal }) => keepBundle(client, options.webhookConfiguration, authority, { signal, logger }));
  const findKey = logged(logger, controllers.findKey);
  const review: ReviewDeps = { settings, kubernetes: { minor }, findKey, onOutcome: createOutcomes({ metrics, events, clock, logger }) };
  answerReviews(server, (body) => reviewAdmission(body, review), logger);
  const podWatch = watchPods({
    ...common,
    sessions,
    gateway: gateway === null ? null : { namespace, labelSelector: 'app.kubernetes.io/component=gateway' },
    retireAllBut: (living) => controllers.adopted.then(() => broker.retireAllBut(living)),
  });
  metrics.show(figuresOf({ ...state, authority, leadership, sessions, controllers, podWatch }));
  const stopShowing = keepCertificate(server, authority);
  return { ...state, election, client, authority, events, server, sessions, controllers, podWatch, metrics, stopShowing };
}

/** The sources of the metrics. */
interface Measured {
  readonly broker: Broker;
  readonly prices: PriceDesk;
  readonly authority: Authority;
  readonly leadership: Leadership;
  readonly sessions: Sessions;
  readonly controllers: Controllers;
  readonly podWatch: PodWatch;
}

function figuresOf({ broker, prices, authority, leadership, sessions, controllers, podWatch }: Measured): ClusterFigures {
  return {
    sessions: () => sessions.count(),
    leads: leadership.leads,
    keys: () => countBy(broker.live() === null ? [] : broker.desk.states()),
    keysNearLimit: () => (broker.live() === null ? [] : broker.desk.list()).filter((row) => nearLimit(row) !== undefined).length,
    problems: () => controllers.problems(),
    waitingPrices: () => countBy(prices.waiting().map(({ provider }) => provider)),
    staleSeconds() {
      const caches = [...controllers.staleForMs(), ['Pod', podWatch.staleForMs()] as const];
      return new Map(caches.map(([kind, ms]) => [kind, ms / 1000]));
    },
    certificateExpiry: () => authority.leaf().notAfterMs / 1000,
    podsWithoutProxy: () => podWatch.withoutProxy(),
    work: () => controllers.counters,
  };
}

function sessionEvents(metrics: ClusterMetrics, changes: Changes): SessionEvents {
  return {
    opened(scope) {
      if (scope.kind === 'sidecar') changes.emit('proxies', scope.key);
    },
    closed: () => {},
    refused: metrics.countRefusal,
    drifted: metrics.countDrift,
  };
}

/** Logs failed look-ups, because the review only says to the Pod's creator to retry. */
function logged(logger: Logger, findKey: ReviewDeps['findKey']): ReviewDeps['findKey'] {
  return async (namespace, name) => {
    try {
      return await findKey(namespace, name);
    } catch (error) {
      logger.warn({ err: error, namespace, name }, 'the injector cannot look up the VirtualKey of a Pod');
      throw error;
    }
  };
}

function hostOf(broker: Broker, sessions: Sessions): PolicyHost {
  return {
    adopt: broker.adopt,
    withdrawn: () => broker.live()?.withdrawn ?? [],
    token: broker.token,
    document: (key) => broker.live()?.documents.get(key) ?? null,
    list: broker.desk.list,
    activeProxies: () => sessions.activeByKey(keysOfGateways(broker)),
    rotate: (key, overlapMs, actor) => void broker.desk.rotate(key, overlapMs, actor),
  };
}

function keysOfGateways(broker: Broker): readonly KeyName[] {
  const live = broker.live();
  if (live === null) return [];
  return [...live.specs].flatMap(([key, { delivery }]) => (delivery.includes('Gateway') && live.documents.has(key) ? [key] : []));
}

function countBy(words: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
