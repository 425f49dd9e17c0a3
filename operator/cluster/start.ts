import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { KeyName } from '../../core/names.ts';
import type { Broker } from '../broker.ts';
import { drift } from '../inject/compare.ts';
import { createOutcomes } from '../inject/outcomes.ts';
import { type ReviewDeps, reviewAdmission } from '../inject/review.ts';
import { connectKube } from '../kube/client.ts';
import { createElector, type Elector } from '../kube/elector.ts';
import { createEvents } from '../kube/events.ts';
import type { KubeClient } from '../kube/types.ts';
import type { PolicyHost } from '../reconcile/policy/host.ts';
import { type Controllers, startControllers } from '../reconcile/start.ts';
import { createAttestor } from '../sessions/attest.ts';
import { type SessionEvents, type Sessions, serveSessions } from '../sessions/sessions.ts';
import { keepCertificate } from '../trust/serve.ts';
import type { Authority } from '../trust/types.ts';
import { startClusterAdmin } from './admin.ts';
import { keepBundle } from './bundle.ts';
import type { ClusterOptions } from './config.ts';
import { type ClusterFigures, type ClusterMetrics, createClusterMetrics, createOperatorMetricsServer } from './metrics.ts';
import { type PodWatch, watchPods } from './pods.ts';
import { createOperatorServer, listenOn } from './server.ts';
import { openTrust, settingsOf } from './settings.ts';
import { openState } from './state.ts';

/** A running operator. */
export interface ClusterOperator {
  /** Ports as they were had. */
  readonly port: number;
  readonly metricsPort: number;
  /** Hands the Lease back, ends sessions, closes the store. */
  close(): Promise<void>;
}

/** Starts the control plane of a cluster; rejects where the API server, the data folder or an address does not allow it. */
export async function startClusterOperator(options: ClusterOptions): Promise<ClusterOperator> {
  const { namespace, logger, identity } = options;
  const clock = Date.now;
  const client = connectKube({ kubeconfig: options.kubeconfig, logger });
  const { minor } = await client.version();
  const authority = await openTrust(options, client, clock);
  const { store, broker } = openState(options, {
    clock,
    decides: () => controllers.decides(),
    onAlarm: (alarm) => metrics.countAlarm(alarm),
    onChange: () => controllers.requeueAll(),
  });
  const events = createEvents({ client, component: 'keyforge.dev/operator', instance: identity, clock, logger });
  const gateway = options.gatewayServiceAccount === null ? null : { namespace, serviceAccount: options.gatewayServiceAccount };
  const settings = () => settingsOf(options, authority);
  const imageDigests = new Set(options.proxyImageDigests);
  const metrics = createClusterMetrics(
    figuresOf({
      broker,
      authority,
      elector: () => elector,
      sessions: () => sessions,
      controllers: () => controllers,
      podWatch: () => podWatch,
    }),
  );
  const review = {
    settings,
    kubernetes: { minor },
    findKey: logged(logger, (...key) => controllers.findKey(...key)),
    onOutcome: createOutcomes({ metrics, events, clock, logger }),
  };
  const server = createOperatorServer((body) => reviewAdmission(body, review), logger);
  const sessions = serveSessions({
    ...{ server, path: '/control', host: broker, logger, monotonic: () => performance.now() },
    attestor: createAttestor({
      ...{ kube: client, imageDigests, gateway, logger },
      drift: (pod) => drift(pod, settings(), { imageDigests, isRoot: authority.accepts }),
    }),
    events: sessionEvents(metrics, (key) => controllers.requeue(key)),
  });
  const controllers = startControllers({
    ...{
      client,
      events,
      namespace,
      poolNamespaces: options.poolNamespaces,
      gatewayUrl: options.gatewayUrl,
      leads: () => elector.leads(),
      logger,
      clock,
      random: randomBytes,
    },
    host: hostOf(broker, sessions),
  });
  const elector = lead(options, client, { authority, controllers });
  const podWatch = watchPods({
    ...{ client, sessions, events, logger, leads: elector.leads },
    gateway: gateway === null ? null : { namespace, labelSelector: 'app.kubernetes.io/component=gateway' },
    retireAllBut: (living) => controllers.adopted.then(() => broker.retireAllBut(living)),
  });
  const stopShowing = keepCertificate(server, authority);
  const metricsServer = createOperatorMetricsServer(metrics.registry, () =>
    broker.live() === null ? 'the first policy is not served yet' : null,
  );
  const metricsPort = await listenOn(metricsServer, options.metricsListen);
  const admin = await startClusterAdmin({ client, namespace, listen: options.adminListen, desk: broker.desk, logger });
  const port = await listenOn(server, options.listen);
  void controllers.adopted.then(() => logger.info('policy is served'));
  elector.start();

  return {
    port,
    metricsPort,
    async close() {
      await elector.close();
      stopShowing();
      await sessions.close();
      server.close();
      server.closeIdleConnections();
      await podWatch.close();
      await controllers.close();
      await events.close();
      metricsServer.close();
      await admin.close();
      authority.close();
      broker.close();
      store.close();
      await client.close();
    },
  };
}

/** While this replica leads, it writes: what the controllers decide, and whom the API server trusts. */
function lead(
  { kubeconfig, namespace, identity, webhookConfiguration, logger }: ClusterOptions,
  client: KubeClient,
  { authority, controllers }: { readonly authority: Authority; readonly controllers: Controllers },
): Elector {
  // Renewals never wait behind lists.
  const own = connectKube({ kubeconfig, logger });
  const elector = createElector({
    ...{ client: own, namespace, name: 'keyforge-operator', identity, clock: Date.now, logger },
    onStarted(signal) {
      controllers.lead();
      keepBundle(client, webhookConfiguration, authority, { signal, logger });
      // No candidate again before the last write of this term has ended.
      return new Promise((resolve) => signal.addEventListener('abort', () => void controllers.unlead().then(resolve)));
    },
    onStopped: () => logger.info('leads no longer'),
  });
  return {
    ...elector,
    async close() {
      await elector.close();
      await own.close();
    },
  };
}

/** What the metrics are read from; most of it is made after them. */
interface Parts {
  readonly broker: Broker;
  readonly authority: Authority;
  elector(): Elector;
  sessions(): Sessions;
  controllers(): Controllers;
  podWatch(): PodWatch;
}

function figuresOf({ broker, authority, elector, sessions, controllers, podWatch }: Parts): ClusterFigures {
  return {
    sessions: () => sessions().count(),
    leads: () => elector().leads(),
    keys: () => countBy(broker.live() === null ? [] : broker.desk.states()),
    problems: () => controllers().problems(),
    staleSeconds() {
      const caches = [...controllers().staleForMs(), ['Pod', podWatch().staleForMs()] as const];
      return new Map(caches.map(([kind, ms]) => [kind, ms / 1000]));
    },
    certificateExpiry: () => authority.leaf().notAfterMs / 1000,
    podsWithoutProxy: () => podWatch().withoutProxy(),
    work: () => controllers().counters,
  };
}

function sessionEvents(metrics: ClusterMetrics, requeue: Controllers['requeue']): SessionEvents {
  return {
    opened: (scope) => void (scope.kind === 'sidecar' && requeue(scope.key)),
    closed: () => {},
    refused: metrics.countRefusal,
    drifted: metrics.countDrift,
  };
}

/** Whoever creates the Pod is told to wait; why is for this log. */
function logged(logger: Logger, findKey: ReviewDeps['findKey']): ReviewDeps['findKey'] {
  return async (namespace, name) => {
    try {
      return await findKey(namespace, name);
    } catch (error) {
      logger.warn({ err: error, namespace, name }, 'a VirtualKey could not be looked up for a Pod');
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
