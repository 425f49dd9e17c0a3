import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { defined } from '../core/json.ts';
import { type KeyName, storedKey } from '../core/names.ts';
import type { ControlPort } from '../core/protocol/control.ts';
import type { Push } from '../core/protocol/snapshot.ts';
import type { ProxyContext } from './context.ts';
import { createPools } from './credentials/pool.ts';
import { BodyReader } from './dialect/json.ts';
import { createRecorder } from './evidence/recorder.ts';
import { createShipper } from './evidence/shipper.ts';
import { openSpool } from './evidence/spool/spool.ts';
import { ByteBudget } from './intake/byte-budget.ts';
import { Connections } from './intake/connections.ts';
import { allowOrigins } from './intake/cross-origin.ts';
import { bodyBudgetBytes } from './intake/memory.ts';
import { defaultLimits, type ProxyLimits } from './limits.ts';
import { serve } from './line.ts';
import { type ActiveKeys, createActiveKeys } from './link/active-keys.ts';
import { ConcurrentCalls } from './link/concurrent-calls.ts';
import { createDrains, type Drains } from './link/drains.ts';
import { createMetrics, createMetricsServer, type Metrics } from './metrics.ts';
import { AnswerSizes } from './money/answer-sizes.ts';
import { createFunds, type Funds } from './money/funds.ts';
import { TokenCounts } from './money/token-counts.ts';
import { createAgentServer, type Handler, listen } from './server.ts';
import { Pace } from './stages/pace.ts';
import { Opinions } from './upstream/opinions.ts';
import { createOrigins, defaultUpstreamSettings } from './upstream/origins.ts';
import type { UpstreamDeps } from './upstream/upstream.ts';

/** A listening address of a proxy. Port 0: any free port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

interface ProxyOptions {
  readonly control: ControlPort;
  /** The spool is in its subfolder `spool/`. */
  readonly dataDir: string;
  /** The name of this proxy in its streams, constant over restarts on the same data. In a cluster, the operator sets it. */
  readonly instance: string | Promise<string>;
  /** The kernel's boot id: after a reboot, a spool may have lost its tail. */
  readonly bootId: string;
  readonly listen: Address;
  readonly metricsListen: Address | null;
  readonly logger: Logger;
  /** Why the proxy is not ready, for `/readyz`; null: only policy is missing. Absent: the operator is in this process. */
  readonly waitingFor?: () => string | null;
  /** True if the operator was unreachable for too long to trust its policy. Absent: never. */
  readonly isStale?: () => boolean;
  readonly limits?: Partial<ProxyLimits>;
  /** Origins whose pages may call from a browser, e.g. `http://localhost:3000`. Default: none. */
  readonly allowedOrigins?: readonly string[];
}

/** A running proxy. */
export interface Proxy {
  readonly url: string;
  readonly metricsUrl: string | null;
  /** Lets calls in flight finish, closes and ships the audit streams, and releases what is unspent. */
  close(): Promise<void>;
}

const tickMs = 5_000;
const idleCheckMs = 50;
const lastDrainMs = 5_000;
/** At shutdown, the wait for an operator that restarts at the same time, because the Pod's records end with it. */
const lastShipMs = 5_000;

function createUpstream(clock: () => number): UpstreamDeps {
  const settings = defaultUpstreamSettings;
  const origins = createOrigins(settings, monotonic);
  return { origins, pools: createPools({ clock }), settings, opinions: new Opinions({ origins, settings, clock }), clock };
}

/** What calls share that needs nothing but its settings. */
function perProcess(
  limits: ProxyLimits,
  control: ControlPort,
): Pick<ProxyContext, 'connections' | 'bodyReader' | 'concurrentCalls' | 'pace' | 'tokenCounts' | 'answerSizes'> {
  return {
    connections: new Connections(limits, monotonic),
    bodyReader: new BodyReader(),
    concurrentCalls: new ConcurrentCalls(),
    pace: new Pace({ monotonic }),
    tokenCounts: new TokenCounts(monotonic),
    answerSizes: new AnswerSizes(control),
  };
}

/** Starts the data plane: metrics and health at once, the agent's port after the first policy arrives. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { control, logger, bootId } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const clock = Date.now;
  const bodies = new ByteBudget({ totalBytes: limits.bodiesBytes ?? bodyBudgetBytes() });
  const upstream = createUpstream(clock);
  const { pools, origins } = upstream;
  const drains = createDrains(limits);
  const spool = openSpool({ dir: join(options.dataDir, 'spool'), bootId, logger });
  const shipper = createShipper({
    control,
    spool,
    logger,
    onQuarantine: (stream, _epoch, reason) => haltStream(activeKeys, stream, reason),
  });
  const metrics = createMetrics({
    isKnown: (key) => activeKeys.byKey(storedKey(key)) !== undefined,
    ...{ inFlight: () => countInFlight(activeKeys), waiting: () => countWaiting(activeKeys), bodies, atProviders: () => origins.load() },
    unshippedEntries: () => shipper.behind().entries,
    deniedRetries: () => pools.deniedRetries(),
    healthyCredentials: () => pools.state().map(({ pool, credential, status }) => ({ pool, credential, healthy: status === 'ready' })),
  });
  const openFunds = (key: KeyName, free: Promise<void>): Funds =>
    createFunds({
      key,
      recorder: createRecorder({ key, instance, bootId, control, spool, clock, random: randomBytes }),
      shipper,
      control,
      metrics,
      logger,
      monotonic,
      newId: () => randomBytes(12).toString('base64url'),
      grantWaitMs: limits.grantWaitMs,
      free,
    });
  const activeKeys = createActiveKeys({ openFunds, now: clock, ...defined({ isStale: options.isStale }) });
  const operations = await serveOperations(options, metrics, activeKeys);
  // No funds are open yet: the first policy arrives later.
  const instance = await options.instance;
  const shared = { activeKeys, control, upstream, drains, metrics, limits, bodies, logger };
  const context: ProxyContext = { ...shared, ...perProcess(limits, control), now: clock, monotonic, newId: createRequestIds() };
  shipper.start();
  const stopWatching = await firstPolicy(control, (push) => applyPush(push, upstream, activeKeys));
  // Charge what an earlier process left open, and release its money before a call needs it, for deleted keys too.
  for (const { key } of spool.recovered) activeKeys.reclaim(key);
  const ticking = setInterval(() => tick(activeKeys), tickMs);
  const agent = agentServer(context, options.allowedOrigins ?? []);
  const url = await listen(agent, options.listen);
  return {
    url,
    metricsUrl: operations.url,
    async close() {
      await drain(agent, limits.shutdownMs);
      await settle(activeKeys, drains);
      clearInterval(ticking);
      stopWatching();
      await activeKeys.close();
      await shipper.close(lastShipMs);
      await spool.close();
      await origins.close();
      operations.close();
    },
  };
}

function agentServer(context: ProxyContext, allowedOrigins: readonly string[]): Server {
  const handler: Handler = (request, response) => serve(context, request, response);
  return createAgentServer(allowOrigins(handler, new Set(allowedOrigins)), context);
}

/** Milliseconds that no correction of the clock changes. */
function monotonic(): number {
  return performance.now();
}

interface Operations {
  readonly url: string | null;
  close(): void;
}

/** Serves metrics and health for SREs, if the options set an address. */
async function serveOperations({ metricsListen, waitingFor }: ProxyOptions, metrics: Metrics, activeKeys: ActiveKeys): Promise<Operations> {
  if (metricsListen === null) return { url: null, close: () => {} };
  // With policy, readiness no longer depends on the operator: its outage must not remove the Pod from its Services.
  const readiness = (): string | null => (activeKeys.revision > 0 ? null : (waitingFor?.() ?? 'the operator has not sent any policy yet'));
  const server = createMetricsServer(metrics.registry, readiness);
  return { url: await listen(server, metricsListen), close: () => void server.close() };
}

function applyPush(push: Push, { pools, origins }: UpstreamDeps, activeKeys: ActiveKeys): void {
  switch (push.kind) {
    case 'recall':
      for (const key of push.keys) activeKeys.byKey(key)?.funds.recall(push.whole);
      return;
    case 'snapshot':
      pools.update(push.pools, push.credentials);
      origins.keepOnly(push.pools);
      activeKeys.apply(push);
      return;
  }
}

function tick(activeKeys: ActiveKeys): void {
  for (const { funds } of activeKeys.all()) funds.tick();
}

function countInFlight(activeKeys: ActiveKeys): number {
  let count = 0;
  for (const { inFlight } of activeKeys.all()) count += inFlight.size;
  return count;
}

function countWaiting(activeKeys: ActiveKeys): number {
  let count = 0;
  for (const { funds } of activeKeys.all()) count += funds.waiting();
  return count;
}

/** Resolves at the first snapshot, because a proxy without policy has nothing to serve. */
function firstPolicy(control: ControlPort, apply: (push: Push) => void): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const stop = control.watch((push) => {
      try {
        apply(push);
      } catch (error) {
        reject(error);
        throw error;
      }
      if (push.kind === 'snapshot') resolve(() => stop());
    });
  });
}

/** Accepts no new calls, lets calls in flight finish for `shutdownMs`, then cuts them. Each is still settled and recorded. */
async function drain(agent: Server, shutdownMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => agent.close(() => resolve()));
  // A keep-alive connection becomes idle after its answer is sent.
  const idling = setInterval(() => agent.closeIdleConnections(), idleCheckMs);
  const timer = setTimeout(() => agent.closeAllConnections(), shutdownMs);
  await closed;
  clearInterval(idling);
  clearTimeout(timer);
}

/** Lets drains continue for a moment, then stops them. Each call is charged and recorded before the streams end. */
async function settle(activeKeys: ActiveKeys, drains: Drains): Promise<void> {
  const timer = setTimeout(() => drains.stop(), lastDrainMs);
  await activeKeys.settled();
  clearTimeout(timer);
}

function haltStream(activeKeys: ActiveKeys, stream: string, reason: string): void {
  for (const { funds } of activeKeys.all()) if (funds.stream === stream) funds.halt(reason);
}

/** Request ids: 8 random bytes for the process, then a counter; unique and cheap. */
function createRequestIds(): () => string {
  const prefix = randomBytes(8).toString('hex');
  let next = 0;
  return () => {
    next += 1;
    return `req_${prefix}${next.toString(36).padStart(6, '0')}`;
  };
}
