import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { refusalTable } from '../core/errors.ts';
import { closeCodes } from '../core/protocol/session.ts';
import { createClusterMetrics } from '../operator/cluster/metrics.ts';
import { quietGauges } from '../proxy/line.fixture.ts';
import { createMetrics } from '../proxy/metrics.ts';

/**
 * Names that people script and alert on. `UPDATE_GOLDEN=1 node --test test/stable-names.test.ts` writes them anew:
 * a change of that file is a change of a contract and belongs in CHANGELOG.
 */
const golden = join(import.meta.dirname, 'testdata', 'stable-names.json');
const root = join(import.meta.dirname, '..');

const sources = ['core', 'proxy', 'operator', 'cli']
  .flatMap((room) => readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((name) => join(root, room, name)))
  .filter((path) => path.endsWith('.ts') && !/\.test\.ts$|testbed|fixture|fake|conformance/.test(path))
  .map((path) => readFileSync(path, 'utf8'));

function metricsOf(registry: { getMetricsAsArray(): readonly object[] }): readonly string[] {
  return registry
    .getMetricsAsArray()
    .map((metric) => metric as { readonly name: string; readonly labelNames?: readonly string[] })
    .filter(({ name }) => name.startsWith('keyforge_'))
    .map(({ name, labelNames = [] }) => `${name}{${[...labelNames].sort().join(',')}}`)
    .sort();
}

function proxyMetrics(): readonly string[] {
  return metricsOf(createMetrics(quietGauges).registry);
}

function operatorMetrics(): readonly string[] {
  const none = () => new Map<string, number>();
  const figures = {
    ...{ sessions: () => 0, leads: () => false, certificateExpiry: () => 0, podsWithoutProxy: () => 0, keysNearLimit: () => 0 },
    ...{ keys: none, problems: none, waitingPrices: none, staleSeconds: none, work: () => ({ adoptions: 0, reconciles: 0, failures: 0 }) },
  };
  const metrics = createClusterMetrics();
  metrics.show(figures);
  return metricsOf(metrics.registry);
}

/** Fields of objects that are logged beside a message. */
function logFields(): readonly string[] {
  const found = sources.flatMap((text) => [...text.matchAll(/logger\s*\.(?:debug|info|warn|error|fatal)\(\s*\{([^}]*)\}/g)]);
  const names = found.flatMap(([, fields = '']) => fields.split(',').map((field) => /^\s*(\w+)/.exec(field)?.[1] ?? ''));
  return [...new Set(names.filter((name) => name !== ''))].sort();
}

function current(): Readonly<Record<string, unknown>> {
  return {
    refusals: refusalTable,
    closeCodes,
    proxyMetrics: proxyMetrics(),
    operatorMetrics: operatorMetrics(),
    logFields: logFields(),
  };
}

/** Words that stand in the source as literals or as keys of a table. */
interface Words {
  /** Of conditions, events and the labels of metrics. */
  readonly reasons: readonly string[];
  readonly conditionTypes: readonly string[];
  /** Values of metric labels and fields of entries. */
  readonly labelValues: readonly string[];
  /** Parts of log messages that runbooks and alerts match. */
  readonly logMessages: readonly string[];
}

const held = JSON.parse(readFileSync(golden, 'utf8')) as Words & Readonly<Record<string, unknown>>;

test('metrics, labels, codes and log fields are those that people alert on', () => {
  const now = current();
  if (process.env['UPDATE_GOLDEN'] !== undefined) {
    writeFileSync(golden, `${JSON.stringify({ ...held, ...now }, null, 2)}\n`);
    return;
  }
  for (const [name, value] of Object.entries(now)) assert.deepEqual(value, held[name], name);
});

test('reasons, condition types and label values are in the source as people know them', () => {
  const missing = [...held.reasons, ...held.conditionTypes, ...held.labelValues].filter(
    (word) => !sources.some((text) => new RegExp(`['"]${word}['"]|^\\s+${word}:`, 'm').test(text)),
  );
  assert.deepEqual(missing, []);
});

test('log messages that runbooks and alerts match are in the source', () => {
  const missing = held.logMessages.filter((words) => !sources.some((text) => text.includes(words)));
  assert.deepEqual(missing, []);
});
