import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CallCode } from '../core/audit/types.ts';
import type { RefusalCode } from '../core/errors.ts';
import type { NanoUsd } from '../core/money.ts';
import type { Usage } from '../core/price/types.ts';

export interface FinishedCall {
  readonly key: string;
  readonly endpoint: string;
  readonly code: CallCode;
  readonly model: string | undefined;
  readonly usage: Usage | null;
  readonly costNano: NanoUsd;
  readonly latencyMs: number;
  readonly ttftMs: number | undefined;
}

/** What the proxy counts. Labels are codes and names from policy, never messages or text that a caller chose. */
export interface Metrics {
  readonly registry: Registry;
  /** A request without an entry: it got no further than authentication, or the spool took no record. */
  countRefused(code: CallCode): void;
  countCall(call: FinishedCall): void;
  countAttempt(pool: string, credential: string, outcome: string): void;
  countGrant(result: 'granted' | 'exact' | RefusalCode): void;
}

/** Live figures that are read at scrape time. */
export interface Gauges {
  inFlight(): number;
  unshippedEntries(): number;
  healthyCredentials(): readonly { readonly pool: string; readonly credential: string; readonly healthy: boolean }[];
}

// An LLM answers in 50 ms (embedding) to 10 min (reasoning); the last buckets matter as much as the first.
const seconds = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640];

/** Prometheus metrics of one proxy. Sums are kept in plain rows and rendered at scrape time: a call costs one look-up. */
export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const calls = createCallSums(registry);
  const attempts = sum(registry, 'keyforge_upstream_attempts_total', 'Calls to providers by credential and outcome.', [
    'pool',
    'credential',
    'outcome',
  ]);
  const grants = sum(
    registry,
    'keyforge_grants_total',
    'Asks to the ledger by result; exact = granted for one call at the end of a budget.',
    ['result'],
  );
  const duration = new Histogram({
    name: 'keyforge_request_duration_seconds',
    help: 'From the request’s arrival to the end of its answer.',
    buckets: seconds,
    registers: [registry],
  });
  const firstToken = new Histogram({
    name: 'keyforge_time_to_first_token_seconds',
    help: 'From the request’s arrival to the first content byte of a streamed answer.',
    buckets: seconds,
    registers: [registry],
  });
  gauge(registry, 'keyforge_requests_in_flight', 'Calls that are being served.', [], (metric) => metric.set(gauges.inFlight()));
  gauge(registry, 'keyforge_entries_unshipped', 'Audit entries that the collector has not acknowledged yet.', [], (metric) =>
    metric.set(gauges.unshippedEntries()),
  );
  gauge(
    registry,
    'keyforge_credential_healthy',
    '1 where a credential may be used now, 0 while it cools down or was refused.',
    ['pool', 'credential'],
    (metric) => {
      metric.reset();
      for (const { pool, credential, healthy } of gauges.healthyCredentials()) metric.set({ pool, credential }, healthy ? 1 : 0);
    },
  );
  return {
    registry,
    countRefused: (code) => calls.add({ key: '', endpoint: '', code, model: undefined, usage: null, costNano: 0 }),
    countCall(call) {
      calls.add(call);
      duration.observe(call.latencyMs / 1000);
      if (call.ttftMs !== undefined) firstToken.observe(call.ttftMs / 1000);
    },
    countAttempt: (pool, credential, outcome) => attempts.add([pool, credential, outcome]),
    countGrant: (result) => grants.add([result]),
  };
}

/** Everything that calls with the same labels come to. */
interface CallRow {
  readonly key: string;
  readonly endpoint: string;
  readonly code: CallCode;
  readonly model: string;
  count: number;
  costNano: number;
  input: number;
  cachedInput: number;
  cacheWrite: number;
  output: number;
}

function createCallSums(registry: Registry): { add(call: Omit<FinishedCall, 'latencyMs' | 'ttftMs'>): void } {
  const rows = new Map<string, CallRow>();
  const ofModel = (row: CallRow) => ({ key: row.key, gen_ai_response_model: row.model });
  counter(
    registry,
    { name: 'keyforge_requests_total', help: 'Requests by outcome; code is ok or a code of docs/errors.md.' },
    ['key', 'endpoint', 'code'],
    (metric) => {
      for (const { key, endpoint, code, count } of rows.values()) metric.inc({ key, endpoint, code }, count);
    },
  );
  counter(registry, { name: 'keyforge_cost_usd_total', help: 'Dollars settled.' }, ['key', 'gen_ai_response_model'], (metric) => {
    for (const row of rows.values()) if (row.costNano > 0) metric.inc(ofModel(row), row.costNano / 1e9);
  });
  counter(
    registry,
    { name: 'keyforge_tokens_total', help: 'Tokens settled, by disjoint class.' },
    ['key', 'gen_ai_response_model', 'gen_ai_token_type'],
    (metric) => {
      for (const row of rows.values()) {
        if (row.model === '') continue;
        metric.inc({ ...ofModel(row), gen_ai_token_type: 'input' }, row.input);
        metric.inc({ ...ofModel(row), gen_ai_token_type: 'cached_input' }, row.cachedInput);
        metric.inc({ ...ofModel(row), gen_ai_token_type: 'cache_write' }, row.cacheWrite);
        metric.inc({ ...ofModel(row), gen_ai_token_type: 'output' }, row.output);
      }
    },
  );

  function rowOf(key: string, endpoint: string, code: CallCode, model: string): CallRow {
    const id = `${key}\n${endpoint}\n${code}\n${model}`;
    const known = rows.get(id);
    if (known !== undefined) return known;
    const row = { key, endpoint, code, model, count: 0, costNano: 0, input: 0, cachedInput: 0, cacheWrite: 0, output: 0 };
    rows.set(id, row);
    return row;
  }

  return {
    add({ key, endpoint, code, model, usage, costNano }) {
      const row = rowOf(key, endpoint, code, model ?? '');
      row.count += 1;
      row.costNano += costNano;
      if (usage === null) return;
      row.input += usage.input;
      row.cachedInput += usage.cachedInput;
      row.cacheWrite += usage.cacheWrite;
      row.output += usage.output;
    },
  };
}

function sum(registry: Registry, name: string, help: string, labelNames: readonly string[]): { add(labels: readonly string[]): void } {
  const totals = new Map<string, { readonly labels: Record<string, string>; count: number }>();
  counter(registry, { name, help }, labelNames, (metric) => {
    for (const { labels, count } of totals.values()) metric.inc(labels, count);
  });
  return {
    add(labels) {
      const id = labels.join('\n');
      const total = totals.get(id);
      if (total !== undefined) total.count += 1;
      else totals.set(id, { labels: Object.fromEntries(labelNames.map((label, i) => [label, labels[i] ?? ''])), count: 1 });
    },
  };
}

/** A counter that is filled anew at each scrape. */
function counter(
  registry: Registry,
  { name, help }: { readonly name: string; readonly help: string },
  labelNames: readonly string[],
  fill: (metric: Counter) => void,
): void {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      fill(this);
    },
  });
}

function gauge(registry: Registry, name: string, help: string, labelNames: readonly string[], read: (metric: Gauge) => void): void {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      read(this);
    },
  });
}

/**
 * The port for SREs: `/metrics`, `/healthz` (the process answers), `/readyz` (it can serve calls; else it tells what `waitingFor` says).
 * Never on the agent's port.
 */
export function createMetricsServer(registry: Registry, waitingFor: () => string | null): Server {
  return createServer((request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type }).end(text);
    };
    if (request.url === '/healthz') answer(200, 'ok\n');
    else if (request.url === '/readyz') {
      const reason = waitingFor();
      answer(reason === null ? 200 : 503, reason === null ? 'ready\n' : `not ready: ${reason}\n`);
    } else if (request.url === '/metrics')
      registry.metrics().then(
        (text) => answer(200, text, registry.contentType),
        () => answer(500, 'metrics failed\n'),
      );
    else answer(404, 'not found: /metrics /healthz /readyz\n');
  });
}
