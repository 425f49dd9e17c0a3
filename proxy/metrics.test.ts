import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { quietGauges, usage } from './line.fixture.ts';
import { createMetrics, createMetricsServer, type FinishedCall, type Gauges, type Metrics } from './metrics.ts';
import { listen } from './server.ts';

const quiet: Gauges = { ...quietGauges, isKnown: (key) => key !== 'agents/gone' };

const call: FinishedCall = {
  key: 'agents/bot',
  endpoint: '/v1/chat/completions',
  code: 'ok',
  model: 'gpt-5.4-mini',
  usage: usage(100, 50, { cachedInput: 7, cacheWrite: 3, reasoning: 20 }),
  costNano: 250_000_000,
  latencyMs: 1500,
  ttftMs: 200,
};

/** The lines of `/metrics` whose name begins so, without comments. */
async function lines(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.registry.metrics();
  return text.split('\n').filter((line) => line.startsWith(name));
}

async function startServer(t: TestContext, metrics: Metrics, waitingFor: () => string | null = () => null): Promise<string> {
  const server = createMetricsServer(metrics.registry, waitingFor);
  t.after(() => server.close().closeAllConnections());
  return await listen(server, { host: '127.0.0.1', port: 0 });
}

test('requests, dollars and tokens are summed by key, by code and by disjoint class', async () => {
  const metrics = createMetrics(quiet);
  metrics.countCall(call);
  metrics.countCall({ ...call, costNano: 500_000_000 });
  metrics.countCall({ ...call, code: 'budget_exhausted', model: undefined, usage: null, costNano: 0, ttftMs: undefined });
  metrics.countRefused('invalid_key');
  assert.deepEqual(await lines(metrics, 'keyforge_requests_total'), [
    'keyforge_requests_total{key="agents/bot",endpoint="/v1/chat/completions",code="ok"} 2',
    'keyforge_requests_total{key="agents/bot",endpoint="/v1/chat/completions",code="budget_exhausted"} 1',
    'keyforge_requests_total{key="",endpoint="",code="invalid_key"} 1',
  ]);
  assert.deepEqual(await lines(metrics, 'keyforge_cost_usd_total'), [
    'keyforge_cost_usd_total{key="agents/bot",gen_ai_response_model="gpt-5.4-mini"} 0.75',
  ]);
  const labels = 'key="agents/bot",gen_ai_response_model="gpt-5.4-mini",gen_ai_token_type';
  assert.deepEqual(await lines(metrics, 'keyforge_tokens_total'), [
    `keyforge_tokens_total{${labels}="input"} 200`,
    `keyforge_tokens_total{${labels}="cached_input"} 14`,
    `keyforge_tokens_total{${labels}="cache_write"} 6`,
    `keyforge_tokens_total{${labels}="output"} 100`,
  ]);
});

test('errors that are taken as free are summed by the bounds of their calls', async () => {
  const metrics = createMetrics(quiet);
  const refused = { pool: 'platform/openai', status: 429, code: 'rate_limit_exceeded' };
  metrics.countFreeError(refused, 250_000_000);
  metrics.countFreeError(refused, 500_000_000);
  assert.deepEqual(await lines(metrics, 'keyforge_free_errors_held_usd_total'), [
    'keyforge_free_errors_held_usd_total{pool="platform/openai",status="429",code="rate_limit_exceeded"} 0.75',
  ]);
});

test('counters only grow: a second scrape says the same, a further call adds to it', async () => {
  const metrics = createMetrics(quiet);
  metrics.countAttempt('platform/openai', 'proj-a', 'limited');
  metrics.countGrant('granted');
  const before = [await lines(metrics, 'keyforge_upstream_attempts_total'), await lines(metrics, 'keyforge_grants_total')].flat();
  assert.deepEqual(before, [
    'keyforge_upstream_attempts_total{pool="platform/openai",credential="proj-a",outcome="limited"} 1',
    'keyforge_grants_total{result="granted"} 1',
  ]);
  metrics.countGrant('granted');
  assert.deepEqual(await lines(metrics, 'keyforge_grants_total'), ['keyforge_grants_total{result="granted"} 2']);
});

test('duration covers every call, time to first token only those that streamed', async () => {
  const metrics = createMetrics(quiet);
  metrics.countCall(call);
  metrics.countCall({ ...call, latencyMs: 30_000, ttftMs: undefined });
  const duration = await lines(metrics, 'keyforge_request_duration_seconds');
  assert.ok(duration.includes('keyforge_request_duration_seconds_bucket{le="2.5"} 1'));
  assert.ok(duration.includes('keyforge_request_duration_seconds_bucket{le="40"} 2'));
  assert.ok((await lines(metrics, 'keyforge_time_to_first_token_seconds')).includes('keyforge_time_to_first_token_seconds_count 1'));
});

test('gauges are read when they are scraped, and forget credentials that are gone', async () => {
  let inFlight = 3;
  let credentials = [
    { pool: 'platform/openai', credential: 'proj-a', healthy: true },
    { pool: 'platform/openai', credential: 'proj-b', healthy: false },
  ];
  const metrics = createMetrics({
    ...quietGauges,
    waiting: () => 4,
    inFlight: () => inFlight,
    bodies: { usedBytes: 7, waiting: 2 },
    atProviders: () => ({ used: 4, waiting: 1 }),
    isKnown: (key: string) => key !== 'agents/gone',
    unshippedEntries: () => 17,
    deniedRetries: () => [{ pool: 'platform/openai', count: 5 }],
    healthyCredentials: () => credentials,
  });
  assert.deepEqual(await lines(metrics, 'keyforge_requests_in_flight'), ['keyforge_requests_in_flight 3']);
  assert.deepEqual(await lines(metrics, 'keyforge_body_bytes'), ['keyforge_body_bytes 7']);
  assert.deepEqual(await lines(metrics, 'keyforge_bodies_waiting'), ['keyforge_bodies_waiting 2']);
  assert.deepEqual(await lines(metrics, 'keyforge_provider_calls '), ['keyforge_provider_calls 4']);
  assert.deepEqual(await lines(metrics, 'keyforge_provider_calls_waiting'), ['keyforge_provider_calls_waiting 1']);
  assert.deepEqual(await lines(metrics, 'keyforge_entries_unshipped'), ['keyforge_entries_unshipped 17']);
  for (let scrape = 0; scrape < 2; scrape += 1)
    assert.deepEqual(await lines(metrics, 'keyforge_retries_denied_total'), ['keyforge_retries_denied_total{pool="platform/openai"} 5']);
  assert.deepEqual(await lines(metrics, 'keyforge_credential_healthy'), [
    'keyforge_credential_healthy{pool="platform/openai",credential="proj-a"} 1',
    'keyforge_credential_healthy{pool="platform/openai",credential="proj-b"} 0',
  ]);
  inFlight = 0;
  credentials = credentials.slice(1);
  assert.deepEqual(await lines(metrics, 'keyforge_requests_in_flight'), ['keyforge_requests_in_flight 0']);
  assert.equal((await lines(metrics, 'keyforge_credential_healthy')).length, 1);
});

test('a key whose name needs quoting cannot forge a line', async () => {
  const metrics = createMetrics(quiet);
  metrics.countCall({ ...call, model: 'a"} 9\nkeyforge_cost_usd_total{key="x' });
  assert.equal((await lines(metrics, 'keyforge_cost_usd_total')).length, 1);
});

test('the port for SREs answers scrapes in the Prometheus text format, and health', async (t) => {
  const metrics = createMetrics(quiet);
  metrics.countCall(call);
  const url = await startServer(t, metrics);
  const scrape = await fetch(`${url}/metrics`);
  assert.match(scrape.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await scrape.text();
  assert.match(text, /^# TYPE keyforge_requests_total counter$/m);
  assert.match(text, /^process_cpu_user_seconds_total /m);
  const health = await fetch(`${url}/healthz`);
  assert.deepEqual([health.status, await health.text()], [200, 'ok\n']);
  assert.equal((await fetch(`${url}/v1/chat/completions`)).status, 404);
});

test('the proxy is alive before it is ready', async (t) => {
  let waitingFor: string | null = 'the operator';
  const url = await startServer(t, createMetrics(quiet), () => waitingFor);
  const [health, readiness] = [await fetch(`${url}/healthz`), await fetch(`${url}/readyz`)];
  assert.deepEqual([health.status, readiness.status, await readiness.text()], [200, 503, 'not ready: the operator\n']);
  waitingFor = null;
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
});

test('rows of a key that is gone are read a few times more, and then go too', async () => {
  const metrics = createMetrics(quiet);
  metrics.countCall(call);
  metrics.countCall({ ...call, key: 'agents/gone' });
  for (let scrape = 0; scrape < 4; scrape += 1) assert.equal((await lines(metrics, 'keyforge_requests_total{')).length, 2);
  assert.deepEqual(
    (await lines(metrics, 'keyforge_requests_total{')).map((line) => /key="([^"]*)"/.exec(line)?.[1]),
    ['agents/bot'],
  );
});

test('labels beyond a ceiling share one row, and the sum stays', async () => {
  const metrics = createMetrics(quiet);
  for (let n = 0; n < 5000; n += 1) metrics.countFreeError({ pool: 'platform/openai', status: 429, code: `made_up_${n}` }, 1_000_000_000);
  for (let n = 0; n < 12_000; n += 1) metrics.countCall({ ...call, model: `made-up-${n}` });
  const errors = await lines(metrics, 'keyforge_free_errors_held_usd_total{');
  assert.equal(errors.length, 1001);
  assert.ok(errors.includes('keyforge_free_errors_held_usd_total{pool="other",status="other",code="other"} 4000'));
  const costs = await lines(metrics, 'keyforge_cost_usd_total{');
  assert.equal(costs.length, 10_001);
  assert.ok(costs.includes('keyforge_cost_usd_total{key="",gen_ai_response_model="other"} 500'));
});
