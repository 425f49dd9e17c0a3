import { createServer, type Server } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Alarm } from '../broker.ts';
import { limitCrowd } from './connections.ts';

/** Figures that are read at each scrape. */
export interface ClusterFigures {
  sessions(): number;
  leads(): boolean;
  /** Keys by state. */
  keys(): ReadonlyMap<string, number>;
  /** Objects that are not served as they are written, by kind. */
  problems(): ReadonlyMap<string, number>;
  /** Seconds since the API server last said anything, by kind of cache. */
  staleSeconds(): ReadonlyMap<string, number>;
  /** Unix time in seconds. */
  certificateExpiry(): number;
  /** Pods that opted in and run without a proxy. */
  podsWithoutProxy(): number;
  /** Since the start. */
  work(): { readonly adoptions: number; readonly reconciles: number; readonly failures: number };
}

/** The operator's metrics; labels are of closed sets. */
export interface ClusterMetrics {
  readonly registry: Registry;
  countInjection(outcome: string, reason: string): void;
  countWarning(reason: string): void;
  countRefusal(refusal: string): void;
  countDrift(): void;
  countAlarm(alarm: Alarm): void;
}

/** Makes the registry; gauges ask `figures` at each scrape. */
export function createClusterMetrics(figures: ClusterFigures): ClusterMetrics {
  const registry = new Registry();
  const counter = (name: string, help: string, labelNames: readonly string[]): Counter =>
    new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  const counted = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gaugeBy = (name: string, help: string, label: string, read: () => ReadonlyMap<string, number>): void => {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of read()) this.set({ [label]: value }, count);
      },
    });
  };
  const injections = counter('keyforge_operator_injections_total', 'Pods that asked for a proxy, by what became of them', [
    'outcome',
    'reason',
  ]);
  const warnings = counter('keyforge_operator_injection_warnings_total', 'Pods that got a proxy with something left as it was, by reason', [
    'reason',
  ]);
  const refusals = counter('keyforge_operator_session_refusals_total', 'Proxies that were not served, by reason', ['refusal']);
  // There from the start: an increase from nothing to one is none that an alert could see.
  for (const refusal of ['pod_drifted', 'image_denied']) refusals.inc({ refusal }, 0);
  const alarms = counter('keyforge_operator_alarms_total', 'What was noticed of money and records that people should hear of', ['alarm']);
  for (const alarm of ['entry_refused', 'overdraft', 'burned'] satisfies readonly Alarm[]) alarms.inc({ alarm }, 0);
  const drifts = counter('keyforge_operator_drifts_total', 'Sessions ended because the Pod was no longer as injected', []);
  gauge('keyforge_operator_sessions', 'Proxies attached to this replica', figures.sessions);
  gauge('keyforge_operator_leader', '1 where this replica writes to the Kubernetes API', () => (figures.leads() ? 1 : 0));
  gauge('keyforge_operator_certificate_expiry_timestamp_seconds', 'End of the certificate shown in handshakes', figures.certificateExpiry);
  gauge('keyforge_operator_pods_without_proxy', 'Pods that opted in and run without a proxy', figures.podsWithoutProxy);
  counted('keyforge_operator_adoptions_total', 'Policies put together from all objects and served', () => figures.work().adoptions);
  counted('keyforge_operator_reconciles_total', 'Objects looked at', () => figures.work().reconciles);
  counted('keyforge_operator_reconcile_failures_total', 'Looks at an object that failed, to be tried again', () => figures.work().failures);
  gaugeBy('keyforge_operator_keys', 'Keys by state', 'state', figures.keys);
  gaugeBy('keyforge_operator_problems', 'Objects that are not served as they are written', 'kind', figures.problems);
  gaugeBy('keyforge_operator_cache_stale_seconds', 'Time since the API server last said anything', 'kind', figures.staleSeconds);
  return {
    registry,
    countInjection: (outcome, reason) => injections.inc({ outcome, reason }),
    countWarning: (reason) => warnings.inc({ reason }),
    countRefusal: (refusal) => refusals.inc({ refusal }),
    countDrift: () => drifts.inc(),
    countAlarm: (alarm) => alarms.inc({ alarm }),
  };
}

/** A scrape reads every key's account, and anybody in the cluster may scrape: one is made in this time, whoever asks. */
const scrapeMs = 1_000;
/** Connections of one address. */
const mostScrapers = 256;

/** `/metrics`, `/healthz` (the process answers), `/readyz` (policy is served; else it tells what `waitingFor` says). */
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
  limitCrowd(server, mostScrapers);
  return server;
}
