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
  /** Counts a request without an entry: authentication refused it, or the spool could not take its record. */
  countRefused(code: CallCode): void;
  countCall(call: FinishedCall): void;
  countAttempt(pool: string, credential: string, outcome: string): void;
  /** Adds the bound of a call whose error answer was taken as free. */
  countFreeError(error: { readonly pool: string; readonly status: number; readonly code: string }, boundNano: NanoUsd): void;
  countGrant(result: 'granted' | 'exact' | RefusalCode): void;
  /** Notes how long a call waited for money. */
  observeWait(waitedMs: number): void;
  countBreach(pool: string, model: string): void;
}

/** Current figures, read at scrape time. */
export interface Gauges {
  /** False: the key is gone, and so are its rows after the next scrapes. */
  isKnown(key: string): boolean;
  inFlight(): number;
  waiting(): number;
  /** Request bodies in receipt and in flight, and those that wait for room. */
  readonly bodies: { readonly usedBytes: number; readonly waiting: number };
  /** Calls at providers, and calls that wait for a connection to one. */
  atProviders(): { readonly used: number; readonly waiting: number };
  unshippedEntries(): number;
  /** Since each pool began. */
  deniedRetries(): readonly { readonly pool: string; readonly count: number }[];
  healthyCredentials(): readonly { readonly pool: string; readonly credential: string; readonly healthy: boolean }[];
}

// An LLM answers in 50 ms (embedding) to 10 min (reasoning); the last buckets matter as much as the first.
const buckets = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640];

// An exchange with the ledger takes milliseconds; a call that cannot be paid now waits for 30 s by default.
const waitBuckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 15, 20, 30];

/** Prometheus metrics of one proxy. Sums are kept in plain rows and rendered at scrape time: a call costs one look-up. */
export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const calls = new CallSums(registry, gauges.isKnown);
  const attempts = new LabelledSum(registry, {
    name: 'keyforge_upstream_attempts_total',
    help: 'Calls to providers by credential and outcome.',
    labelNames: ['pool', 'credential', 'outcome'],
  });
  const grants = new LabelledSum(registry, {
    name: 'keyforge_grants_total',
    help: 'Grant requests by result. Near the end of a budget, exact counts grants for a single call.',
    labelNames: ['result'],
  });
  const freeErrors = new LabelledSum(registry, {
    name: 'keyforge_free_errors_held_usd_total',
    help: 'Dollars that were held for calls whose error answer counts as free: what the provider could bill at most if it is not.',
    labelNames: ['pool', 'status', 'code'],
  });
  const breaches = new LabelledSum(registry, {
    name: 'keyforge_bound_breaches_total',
    help: 'Bills above the bound of their call, by pool and model.',
    labelNames: ['pool', 'model'],
  });
  const duration = new Histogram({
    name: 'keyforge_request_duration_seconds',
    help: 'Seconds from the arrival of a request to the end of its answer.',
    buckets,
    registers: [registry],
  });
  const firstToken = new Histogram({
    name: 'keyforge_time_to_first_token_seconds',
    help: 'Seconds from the arrival of a request to the first content byte of its streamed answer.',
    buckets,
    registers: [registry],
  });
  const wait = new Histogram({
    name: 'keyforge_grant_wait_seconds',
    help: 'Seconds that calls waited for money, whether they got it or not. Calls that the wallet could pay at once are not counted.',
    buckets: waitBuckets,
    registers: [registry],
  });
  registerGauges(registry, gauges);
  return {
    registry,
    countRefused: (code) => calls.add({ key: '', endpoint: '', code, model: undefined, usage: null, costNano: 0 }),
    countCall(call) {
      calls.add(call);
      duration.observe(call.latencyMs / 1000);
      if (call.ttftMs !== undefined) firstToken.observe(call.ttftMs / 1000);
    },
    countAttempt: (pool, credential, outcome) => attempts.add([pool, credential, outcome]),
    countFreeError: ({ pool, status, code }, boundNano) => freeErrors.add([pool, String(status), code], boundNano / 1e9),
    countGrant: (result) => grants.add([result]),
    observeWait: (waitedMs) => wait.observe(waitedMs / 1000),
    countBreach: (pool, model) => breaches.add([pool, model]),
  };
}

function registerGauges(registry: Registry, gauges: Gauges): void {
  gauge(registry, { name: 'keyforge_requests_in_flight', help: 'Calls in flight.' }, (metric) => metric.set(gauges.inFlight()));
  gauge(registry, { name: 'keyforge_calls_waiting', help: 'Calls that wait for money.' }, (metric) => metric.set(gauges.waiting()));
  gauge(registry, { name: 'keyforge_body_bytes', help: 'Bytes of request bodies in receipt and in flight.' }, (metric) =>
    metric.set(gauges.bodies.usedBytes),
  );
  gauge(registry, { name: 'keyforge_bodies_waiting', help: 'Request bodies that wait for room.' }, (metric) =>
    metric.set(gauges.bodies.waiting),
  );
  gauge(registry, { name: 'keyforge_provider_calls', help: 'Calls that hold a connection to a provider.' }, (metric) =>
    metric.set(gauges.atProviders().used),
  );
  gauge(registry, { name: 'keyforge_provider_calls_waiting', help: 'Calls that wait for a connection to a provider.' }, (metric) =>
    metric.set(gauges.atProviders().waiting),
  );
  gauge(registry, { name: 'keyforge_entries_unshipped', help: 'Audit entries that the operator has not acknowledged yet.' }, (metric) =>
    metric.set(gauges.unshippedEntries()),
  );
  const denied = {
    name: 'keyforge_retries_denied_total',
    help: 'Further attempts of calls that the retry budget of a pool denied.',
    labelNames: ['pool'],
  };
  counter(registry, denied, (metric) => {
    for (const { pool, count } of gauges.deniedRetries()) metric.inc({ pool }, count);
  });
  const credentials = {
    name: 'keyforge_credential_healthy',
    help: '1 if the proxy may use the credential now, 0 during a cooldown or after its provider rejected it.',
    labelNames: ['pool', 'credential'],
  };
  gauge(registry, credentials, (metric) => {
    metric.reset();
    for (const { pool, credential, healthy } of gauges.healthyCredentials()) metric.set({ pool, credential }, healthy ? 1 : 0);
  });
}

/** The sums of all calls with the same labels. */
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
  /** Since the key was gone. */
  scrapes: number;
}

/** The row of a key that is gone is still read, so that what it cost last is seen. */
const lastScrapes = 4;
/** Beyond it, further labels share one row. */
const maxRows = 10_000;
/** The same, for sums by labels that name no key: pools, credentials and codes are few, but a proxy may outlive many. */
const maxSums = 1_000;

/** Requests, dollars and tokens by the labels of calls. */
class CallSums {
  readonly #rows = new Map<string, CallRow>();
  readonly #isKnown: (key: string) => boolean;

  constructor(registry: Registry, isKnown: (key: string) => boolean) {
    this.#isKnown = isKnown;
    counter(
      registry,
      {
        name: 'keyforge_requests_total',
        help: 'Requests by outcome. The label code is ok or a code of docs/errors.md.',
        labelNames: ['key', 'endpoint', 'code'],
      },
      (metric) => this.#fillRequests(metric),
    );
    counter(
      registry,
      { name: 'keyforge_cost_usd_total', help: 'Dollars that calls have cost.', labelNames: ['key', 'gen_ai_response_model'] },
      (metric) => this.#fillCost(metric),
    );
    counter(
      registry,
      {
        name: 'keyforge_tokens_total',
        help: 'Tokens of settled calls, by disjoint class.',
        labelNames: ['key', 'gen_ai_response_model', 'gen_ai_token_type'],
      },
      (metric) => this.#fillTokens(metric),
    );
  }

  add({ key, endpoint, code, model, usage, costNano }: Omit<FinishedCall, 'latencyMs' | 'ttftMs'>): void {
    const row = this.#rowOf(key, endpoint, code, model ?? '');
    row.count += 1;
    row.costNano += costNano;
    if (usage === null) return;
    row.input += usage.input;
    row.cachedInput += usage.cachedInput;
    row.cacheWrite += usage.cacheWrite;
    row.output += usage.output;
  }

  #rowOf(key: string, endpoint: string, code: CallCode, model: string): CallRow {
    const id = `${key}\n${endpoint}\n${code}\n${model}`;
    const known = this.#rows.get(id);
    if (known !== undefined) return known;
    if (this.#rows.size >= maxRows && key !== '') return this.#rowOf('', '', code, model === '' ? '' : 'other');
    const row = { key, endpoint, code, model, count: 0, costNano: 0, input: 0, cachedInput: 0, cacheWrite: 0, output: 0, scrapes: 0 };
    this.#rows.set(id, row);
    return row;
  }

  #fillRequests(metric: Counter): void {
    for (const [id, row] of this.#rows) {
      const { key, endpoint, code, count } = row;
      metric.inc({ key, endpoint, code }, count);
      row.scrapes = key === '' || this.#isKnown(key) ? 0 : row.scrapes + 1;
      if (row.scrapes === lastScrapes) this.#rows.delete(id);
    }
  }

  #fillCost(metric: Counter): void {
    for (const row of this.#rows.values()) if (row.costNano > 0) metric.inc(modelLabels(row), row.costNano / 1e9);
  }

  #fillTokens(metric: Counter): void {
    for (const row of this.#rows.values()) {
      if (row.model === '') continue;
      metric.inc({ ...modelLabels(row), gen_ai_token_type: 'input' }, row.input);
      metric.inc({ ...modelLabels(row), gen_ai_token_type: 'cached_input' }, row.cachedInput);
      metric.inc({ ...modelLabels(row), gen_ai_token_type: 'cache_write' }, row.cacheWrite);
      metric.inc({ ...modelLabels(row), gen_ai_token_type: 'output' }, row.output);
    }
  }
}

function modelLabels({ key, model }: CallRow): { readonly key: string; readonly gen_ai_response_model: string } {
  return { key, gen_ai_response_model: model };
}

/** A sum for each combination of labels. */
class LabelledSum {
  readonly #labelNames: readonly string[];
  readonly #others: readonly string[];
  readonly #totals = new Map<string, { readonly labels: Record<string, string>; count: number }>();

  constructor(registry: Registry, metric: Required<MetricInfo>) {
    this.#labelNames = metric.labelNames;
    this.#others = metric.labelNames.map(() => 'other');
    counter(registry, metric, (total) => {
      for (const { labels, count } of this.#totals.values()) total.inc(labels, count);
    });
  }

  /** `values` in the order of the label names. */
  add(values: readonly string[], amount = 1): void {
    const id = values.join('\n');
    const total = this.#totals.get(id);
    if (total !== undefined) total.count += amount;
    else if (this.#totals.size >= maxSums && values !== this.#others) this.add(this.#others, amount);
    else this.#totals.set(id, { labels: Object.fromEntries(this.#labelNames.map((name, i) => [name, values[i] ?? ''])), count: amount });
  }
}

interface MetricInfo {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
}

/** A counter that is reset and filled at each scrape. */
function counter(registry: Registry, { name, help, labelNames = [] }: MetricInfo, fill: (metric: Counter) => void): void {
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

function gauge(registry: Registry, { name, help, labelNames = [] }: MetricInfo, read: (metric: Gauge) => void): void {
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
 * The port for SREs: `/metrics`, `/healthz` (the process responds), `/readyz` (it can serve calls; otherwise 503 with the
 * text of `waitingFor`). Never on the agent's port.
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
