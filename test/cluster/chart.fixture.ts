import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { helmBinary } from './helm.ts';
import { run } from './run.ts';

export const chartFolder: string = join(import.meta.dirname, '..', '..', 'charts', 'keyforge');
export const releaseNamespace = 'keyforge-system';

/** A rendered object. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind, looked into by assertions alone
  readonly [field: string]: any;
}

/** Whose names the rendered objects have. */
export interface Release {
  readonly name: string;
  readonly namespace: string;
}

/** `helm template`, by default of release keyforge in keyforge-system; rejects with Helm's message. */
export async function render(
  values: object = {},
  { name, namespace }: Release = { name: 'keyforge', namespace: releaseNamespace },
): Promise<readonly Rendered[]> {
  const folder = mkdtempSync(join(tmpdir(), 'keyforge-chart-'));
  try {
    const file = join(folder, 'values.json');
    writeFileSync(file, JSON.stringify(values));
    const text = await run(await helmBinary(), ['template', name, chartFolder, '--namespace', namespace, '--values', file]);
    return parseAllDocuments(text).flatMap((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      const object = document.toJS() as Rendered | null;
      return object === null ? [] : [object];
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The one object of this kind whose name ends so. */
export function one(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const [found, ...others] = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(name));
  if (found === undefined || others.length > 0)
    throw new Error(`the chart renders ${found === undefined ? 'no' : 'more than one'} ${kind}/${name}`);
  return found;
}

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

/** Everything that can be switched on, and every list filled. */
export const fullValues: object = {
  imagePullSecrets: [{ name: 'registry' }],
  commonLabels: { team: 'platform' },
  operator: {
    image: { digest: digest('1') },
    poolNamespaces: ['keyforge-system', 'pools'],
    podAnnotations: { note: 'x' },
    podLabels: { note: 'x' },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    serviceAccount: { annotations: { cloud: 'operator' } },
  },
  proxy: {
    image: { digest: digest('2') },
    allowedDigests: [digest('3')],
    resources: { requests: null, limits: { cpu: 1, memory: '512Mi' } },
  },
  injector: {
    namespaceSelector: { matchLabels: { agents: 'yes' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['dev'] }] },
  },
  certificates: { source: 'cert-manager' },
  gateway: {
    enabled: true,
    service: { annotations: { note: 'x' } },
    serviceAccount: { annotations: { cloud: 'gateway' } },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' }],
  },
  networkPolicy: {
    metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
    gatewayFrom: [{ namespaceSelector: { matchLabels: { people: 'yes' } } }],
  },
  monitoring: {
    labels: { release: 'prometheus' },
    serviceMonitor: { enabled: true },
    podMonitor: { enabled: true },
    prometheusRule: { enabled: true },
    dashboards: { enabled: true },
  },
};
