import { createServer, type Server } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';
import { limitConnections } from '../connections.ts';
import type { Alarm } from '../evidence/collector.ts';

/** Figures that are read at each scrape. */
export interface ClusterFigures {
  sessions(): number;
  leads(): boolean;
  /** Keys by state. */
  keys(): ReadonlyMap<string, number>;
  /** Keys that have used 80 % of a limit on their path. */
  keysNearLimit(): number;
  /** Objects whose latest version is not in force, by kind. */
  problems(): ReadonlyMap<string, number>;
  /** Models with a price that waits for an acknowledgement, by provider. */
  waitingPrices(): ReadonlyMap<string, number>;
  /** Seconds since the last message of the API server, by kind of cache. */
  staleSeconds(): ReadonlyMap<string, number>;
  /** Unix time in seconds. */
  certificateExpiry(): number;
  /** Pods labelled for injection that run without a proxy. */
  podsWithoutProxy(): number;
  /** Since the start. */
  work(): { readonly adoptions: number; readonly reconciles: number; readonly failures: number };
}

/** The operator's metrics; labels are of closed sets. */
export interface ClusterMetrics {
  readonly registry: Registry;
  readonly countInjection: (outcome: string, reason: string) => void;
  readonly countWarning: (reason: string) => void;
  readonly countRefusal: (refusal: string) => void;
  readonly countDrift: () => void;
  readonly countAlarm: (alarm: Alarm) => void;
  /** Adds the metrics that are read from `figures` at each scrape. Call it once. */
  show(figures: ClusterFigures): void;
}

/** Makes the registry with the counters. */
export function createClusterMetrics(): ClusterMetrics {
  const registry = new Registry();
  const counter = (name: string, help: string, ...labelNames: string[]): Counter =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const injections = counter(
    'keyforge_operator_injections_total',
    'Reviews of Pods that are labelled for injection, by outcome and reason',
    'outcome',
    'reason',
  );
  const warnings = counter('keyforge_operator_injection_warnings_total', 'Warnings about Pods that got a proxy, by reason', 'reason');
  const refusals = counter(
    'keyforge_operator_session_refusals_total',
    'Sessions that the operator refused to proxies, by reason',
    'refusal',
  );
  // Create these at 0, because an alert cannot see an increase from absent to 1.
  for (const refusal of ['pod_drifted', 'image_denied']) refusals.inc({ refusal }, 0);
  const alarms = counter('keyforge_operator_alarms_total', 'Irregularities of money and records that need an investigation', 'alarm');
  for (const alarm of ['entry_refused', 'overdraft', 'burned'] satisfies readonly Alarm[]) alarms.inc({ alarm }, 0);
  const drifts = counter(
    'keyforge_operator_drifts_total',
    'Sessions that the operator ended because their Pod differs from what was injected',
  );
  return {
    registry,
    countInjection: (outcome, reason) => injections.inc({ outcome, reason }),
    countWarning: (reason) => warnings.inc({ reason }),
    countRefusal: (refusal) => refusals.inc({ refusal }),
    countDrift: () => drifts.inc(),
    countAlarm: (alarm) => alarms.inc({ alarm }),
    show: (figures) => addFigures(registry, figures),
  };
}

function addFigures(registry: Registry, figures: ClusterFigures): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  const total = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gaugeBy = (label: string, name: string, help: string, read: () => ReadonlyMap<string, number>): void => {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, count] of read()) this.set({ [label]: value }, count);
      },
    });
  };
  gauge('keyforge_operator_sessions', 'Proxies with a session on this replica', () => figures.sessions());
  gauge('keyforge_operator_leader', '1 if this replica leads, else 0', () => (figures.leads() ? 1 : 0));
  gauge(
    'keyforge_operator_certificate_expiry_timestamp_seconds',
    'Expiry of the certificate that the operator serves, in Unix seconds',
    () => figures.certificateExpiry(),
  );
  gauge('keyforge_operator_pods_without_proxy', 'Running Pods that are labelled for injection and have no proxy', () =>
    figures.podsWithoutProxy(),
  );
  total(
    'keyforge_operator_adoptions_total',
    'Policies that the operator compiled from all objects and put in force',
    () => figures.work().adoptions,
  );
  total('keyforge_operator_reconciles_total', 'Reconciliations of objects', () => figures.work().reconciles);
  total('keyforge_operator_reconcile_failures_total', 'Reconciliations that failed and will be retried', () => figures.work().failures);
  gaugeBy('state', 'keyforge_operator_keys', 'Keys by state', () => figures.keys());
  gauge('keyforge_operator_keys_near_limit', 'Keys that have used 80 % of a limit of their own or of an ancestor', () =>
    figures.keysNearLimit(),
  );
  gaugeBy('kind', 'keyforge_operator_problems', 'Objects whose latest version is not in force, by kind', () => figures.problems());
  gaugeBy('provider', 'keyforge_operator_waiting_prices', 'Models with a price that waits for an acknowledgement, by provider', () =>
    figures.waitingPrices(),
  );
  gaugeBy('kind', 'keyforge_operator_cache_stale_seconds', 'Seconds since the last message of the API server, by kind', () =>
    figures.staleSeconds(),
  );
}

/** Minimum time between scrapes: each reads every key's account, and anybody in the cluster may scrape. */
const scrapeMs = 1_000;
/** Maximum of connections from one address. */
const maxScrapers = 256;

/** Serves `/metrics`, `/healthz` (the process responds) and `/readyz` (a policy is in force; otherwise 503 with the text of `waitingFor`). */
export function createOperatorMetricsServer(registry: Registry, waitingFor: () => string | null): Server {
  let scraped: { readonly atMs: number; readonly text: Promise<string> } | null = null;

  function scrape(): Promise<string> {
    const now = performance.now();
    if (scraped === null || now - scraped.atMs > scrapeMs) scraped = { atMs: now, text: registry.metrics() };
    return scraped.text;
  }

  const server = createServer((request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type }).end(text);
    };
    const reason = waitingFor();
    if (request.url === '/healthz') answer(200, 'ok\n');
    else if (request.url === '/readyz') answer(reason === null ? 200 : 503, reason === null ? 'ready\n' : `not ready: ${reason}\n`);
    else if (request.url === '/metrics')
      scrape().then(
        (text) => answer(200, text, registry.contentType),
        () => answer(500, 'metrics failed\n'),
      );
    else answer(404, 'not found: /metrics /healthz /readyz\n');
  });
  limitConnections(server, maxScrapers);
  return server;
}
