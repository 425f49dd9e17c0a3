import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { KeyName } from '../core/names.ts';
import type { ControlPort } from '../core/protocol/control.ts';
import type { Push } from '../core/protocol/snapshot.ts';
import type { ProxyContext } from './context.ts';
import { createPools } from './credentials/pool.ts';
import { createRecorder } from './evidence/recorder.ts';
import { createShipper } from './evidence/shipper.ts';
import { openSpool } from './evidence/spool/spool.ts';
import { defaultLimits, type ProxyLimits } from './limits.ts';
import { serve } from './line.ts';
import { type ActiveKeys, createActiveKeys } from './link/active-keys.ts';
import { createDrains, type Drains } from './link/drains.ts';
import { createMetrics, createMetricsServer } from './metrics.ts';
import { createFunds, type Funds } from './money/funds.ts';
import { createAgentServer, listen } from './server.ts';
import { createOrigins, defaultUpstreamSettings } from './upstream/origins.ts';

/** Where a proxy listens. Port 0: any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ProxyOptions {
  readonly control: ControlPort;
  /** The spool lives in `spool/` beneath it. */
  readonly dataDir: string;
  /** Names this proxy in its streams; the same over restarts on the same data. In a cluster the operator tells it. */
  readonly instance: string | Promise<string>;
  /** The kernel's boot id: after a reboot a spool may have lost its tail. */
  readonly bootId: string;
  readonly listen: Address;
  readonly metricsListen: Address | null;
  readonly logger: Logger;
  /** Why nothing can be served yet, for `/readyz`; null: policy is awaited or there. Absent: an operator in this process. */
  readonly waitingFor?: () => string | null;
  /** True where the operator was out of reach for so long that its policy may be followed no further. Absent: never. */
  readonly isStale?: () => boolean;
  readonly limits?: Partial<ProxyLimits>;
}

/** A running proxy. */
export interface Proxy {
  readonly url: string;
  readonly metricsUrl: string | null;
  /** Calls in flight may finish; then the audit streams are closed and shipped, and what is unspent goes back. */
  close(): Promise<void>;
}

const tickMs = 5_000;
const idleCheckMs = 50;
const lastDrainMs = 5_000;
/** A Pod ends with its records: an operator that restarts just then is waited for. */
const lastShipMs = 5_000;

/** Starts the data plane: metrics and health at once, the agent's port once the first policy is there. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { control, logger } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const clock = Date.now;
  const pools = createPools({ clock });
  const spool = openSpool({ dir: join(options.dataDir, 'spool'), bootId: options.bootId, logger });
  const shipper = createShipper({ control, spool, logger, onQuarantine: (stream, _epoch, reason) => haltStream(served, stream, reason) });
  const origins = createOrigins(defaultUpstreamSettings);
  const drains = createDrains(limits);
  const metrics = createMetrics({
    inFlight: () => sum([...served.all()].map(({ inFlight }) => inFlight.size)),
    unshippedEntries: () => shipper.behind().entries,
    healthyCredentials: () => pools.state().map(({ pool, credential, status }) => ({ pool, credential, healthy: status === 'ready' })),
  });
  const openFunds = (key: KeyName, free: Promise<void>): Funds =>
    createFunds({
      key,
      recorder: createRecorder({ key, instance, bootId: options.bootId, control, spool, clock, random: randomBytes }),
      shipper,
      control,
      metrics,
      logger,
      monotonic: () => performance.now(),
      newId: () => randomBytes(12).toString('base64url'),
      grantWaitMs: limits.grantWaitMs,
      free,
    });
  const { isStale } = options;
  const served = createActiveKeys({ openFunds, now: clock, ...(isStale && { isStale }) });

  // Once there is policy, readiness no more hangs on the operator: an outage of it must not take the Pod out of its Services.
  const readiness = (): string | null => (served.revision > 0 ? null : (options.waitingFor?.() ?? 'no policy yet'));
  const metricsServer = options.metricsListen === null ? null : createMetricsServer(metrics.registry, readiness);
  const metricsUrl = metricsServer === null || options.metricsListen === null ? null : await listen(metricsServer, options.metricsListen);
  const instance = await options.instance;
  const context: ProxyContext = {
    activeKeys: served,
    control,
    upstream: { origins, pools, settings: defaultUpstreamSettings, clock },
    drains,
    metrics,
    limits,
    logger,
    now: clock,
    newId: createIds(),
  };
  shipper.start();
  const stopWatching = await firstPolicy(control, (push) => {
    if (push.kind === 'recall') {
      for (const key of push.keys) served.byKey(key)?.funds.recall();
      return;
    }
    pools.update(push.pools, push.credentials);
    served.apply(push);
  });
  // What an earlier run left open is charged, and its money comes back before anyone asks for it; that of deleted keys too.
  for (const { key } of spool.recovered) served.reclaim(key);
  const ticking = setInterval(() => {
    for (const { funds } of served.all()) funds.tick();
  }, tickMs);

  const agent = createAgentServer((request, response) => serve(context, request, response), limits);
  const url = await listen(agent, options.listen);
  return {
    url,
    metricsUrl,
    async close() {
      await drain(agent, limits.shutdownMs);
      await settle(served, drains);
      clearInterval(ticking);
      stopWatching();
      await served.close();
      await shipper.close(lastShipMs);
      await spool.close();
      await origins.close();
      metricsServer?.close();
    },
  };
}

/** Resolves at the first snapshot: a proxy without policy has nothing to serve. */
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

/** Takes no new calls, lets those in flight finish for so long, then cuts them: each is still settled and recorded. */
async function drain(agent: Server, shutdownMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => agent.close(() => resolve()));
  // A connection that was told to be kept becomes idle once its answer is out.
  const idling = setInterval(() => agent.closeIdleConnections(), idleCheckMs);
  const timer = setTimeout(() => agent.closeAllConnections(), shutdownMs);
  await closed;
  clearInterval(idling);
  clearTimeout(timer);
}

/** Calls that nobody waits for any more are read on for a moment, then stopped: what is charged for each is recorded before the streams end. */
async function settle(served: ActiveKeys, drains: Drains): Promise<void> {
  const timer = setTimeout(() => drains.stop(), lastDrainMs);
  await served.settled();
  clearTimeout(timer);
}

function haltStream(served: ActiveKeys, stream: string, reason: string): void {
  for (const { funds } of served.all()) if (funds.stream === stream) funds.halt(reason);
}

/** Request ids: 8 random bytes for the process, then a counter; unique and cheap. */
function createIds(): () => string {
  const prefix = randomBytes(8).toString('hex');
  let next = 0;
  return () => {
    next += 1;
    return `req_${prefix}${next.toString(36).padStart(6, '0')}`;
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
