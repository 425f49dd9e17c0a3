import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type ClusterFigures, createClusterMetrics, createOperatorMetricsServer } from './metrics.ts';

const nothing = (): ReadonlyMap<string, number> => new Map();
const figures: ClusterFigures = {
  keys: nothing,
  sessions: () => 0,
  leads: () => true,
  keysNearLimit: () => 3,
  problems: nothing,
  staleSeconds: nothing,
  waitingPrices: () => new Map([['OpenAI', 2]]),
  certificateExpiry: () => 0,
  podsWithoutProxy: () => 0,
  work: () => ({ adoptions: 1, reconciles: 3, failures: 2 }),
};

test('what raises an alert is there before the first of it', async () => {
  const { registry } = createClusterMetrics();
  const text = await registry.metrics();
  for (const refusal of ['pod_drifted', 'image_denied'])
    assert.ok(text.includes(`keyforge_operator_session_refusals_total{refusal="${refusal}"} 0`), refusal);
  for (const alarm of ['entry_refused', 'overdraft', 'burned'])
    assert.ok(text.includes(`keyforge_operator_alarms_total{alarm="${alarm}"} 0`), alarm);
});

test('work and alarms are counted', async () => {
  const metrics = createClusterMetrics();
  metrics.show(figures);
  metrics.countAlarm('burned');
  await metrics.registry.metrics();
  const text = await metrics.registry.metrics();
  for (const line of [
    'alarms_total{alarm="burned"} 1',
    'adoptions_total 1',
    'keys_near_limit 3',
    'reconciles_total 3',
    'reconcile_failures_total 2',
    'waiting_prices{provider="OpenAI"} 2',
  ])
    assert.ok(text.includes(`keyforge_operator_${line}\n`), line);
});

test('scrapes that follow one another read the accounts of all keys once', async (t) => {
  let reads = 0;
  const metrics = createClusterMetrics();
  metrics.show({
    ...figures,
    keys() {
      reads += 1;
      return new Map([['active', 2]]);
    },
  });
  const server = createOperatorMetricsServer(metrics.registry, () => null);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const texts = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()));
  assert.ok(texts.every((text) => text.includes('keyforge_operator_keys{state="active"} 2')));
  assert.equal(reads, 1);
});
