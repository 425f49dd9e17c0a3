import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CallBody, EntryBody } from '../../core/audit/types.ts';
import { simulatedModels } from '../../simulator/models.ts';
import { type Simulation, startSimulation } from '../../simulator/provider.ts';
import { keyManifest, poolManifest } from '../manifests.ts';
import { type Agent, agentAt, agentImage, agentTemplate } from './agent-pod.ts';
import type { Cluster } from './cluster.ts';
import { bundleProgram, nodeImage } from './image.ts';
import { tokenIn, until, untilKey } from './operator-world.ts';
import { importedImages, type ReleaseCluster, startReleaseCluster, systemNamespace } from './release.ts';

/** What no Pod but operator and proxies may ever hold. */
export const providerKeys = { openai: 'sk-sim-openai-CANARY-0123456789abcdef', anthropic: 'sk-sim-anthropic-CANARY-0123456789abcdef' };
export const agentsNamespace = 'agents';

/** KeyForge as the chart installs it on a real node, between agents in Pods and a provider in this process that keeps its own books. */
export interface World {
  readonly release: ReleaseCluster;
  readonly cluster: Cluster;
  readonly provider: Simulation;
  /** The operator's volume, on this machine. */
  readonly dataDir: string;
  /** Applies a VirtualKey of both pools and waits until it is served. */
  key(name: string, spec?: Readonly<Record<string, unknown>>): Promise<void>;
  token(key: string): Promise<string>;
  /** A Deployment of agents with this key, each ready. */
  agents(key: string, replicas?: number): Promise<readonly Agent[]>;
  /** All that is recorded. */
  records(): readonly EntryBody[];
  /** Recorded calls of a key and of its runs. */
  calls(key: string): readonly CallBody[];
  /** How many grants of a key proxies hold. */
  openGrants(key: string): number;
  close(): Promise<void>;
}

/** Starts it in about 25 s. Close it. */
export async function startWorld(): Promise<World> {
  const release = await startReleaseCluster();
  const { cluster } = release;
  try {
    const provider = await startSimulation({ host: cluster.hostAddress, credentials: Object.values(providerKeys), keepCalls: 100_000 });
    return await assemble(release, provider);
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

async function assemble(release: ReleaseCluster, provider: Simulation): Promise<World> {
  const { cluster } = release;
  const { client } = cluster;
  const dataDir = join(cluster.folder, 'operator-data');
  await mkdir(dataDir);
  // A path of the node belongs to nobody's fsGroup.
  await chmod(dataDir, 0o777);
  await Promise.all([installOn(release, dataDir), importAgent(cluster)]);
  await cluster.createNamespace(agentsNamespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });
  for (const [name, family] of [
    ['openai', 'OpenAI'],
    ['anthropic', 'Anthropic'],
  ] as const) {
    const models = simulatedModels.filter((model) => model.family === name);
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: systemNamespace },
      stringData: { main: providerKeys[name] },
    });
    await cluster.apply(poolManifest({ name, provider: family, endpoint: provider.url, models }));
  }

  function records(): readonly EntryBody[] {
    return rows(dataDir, 'SELECT body FROM entries ORDER BY position').map(
      ({ body }) => JSON.parse(Buffer.from(body as Uint8Array).toString()) as EntryBody,
    );
  }

  return {
    release,
    cluster,
    provider,
    dataDir,
    async key(name, spec = {}) {
      const pools = Object.keys(providerKeys).map((pool) => ({ name: pool, namespace: systemNamespace }));
      await cluster.apply(keyManifest(name, { pools, ...spec }));
      await untilKey(cluster, agentsNamespace, name);
    },
    async token(key) {
      return (await tokenIn(cluster, agentsNamespace, key)) ?? '';
    },
    async agents(key, replicas = 1) {
      const selector = { matchLabels: { app: `agent-${key}` } };
      const spec = { replicas, selector, template: agentTemplate(key) };
      const metadata = { name: `agent-${key}`, namespace: agentsNamespace };
      await cluster.apply({ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec });
      return until(`${replicas} agents of ${key} are ready`, async () => {
        const { body } = await client.request('GET', `/api/v1/namespaces/${agentsNamespace}/pods?labelSelector=app%3Dagent-${key}`);
        const ready = (body.items as readonly PodBody[]).filter(isReady);
        return ready.length === replicas && ready.map((pod) => agentAt(pod.metadata.name, pod.status.podIP));
      });
    },
    records,
    calls: (key) =>
      records().filter(
        (body): body is CallBody =>
          body.type === 'call' && (body.key === `${agentsNamespace}/${key}` || body.key.startsWith(`${agentsNamespace}/${key}.`)),
      ),
    openGrants: (key) =>
      Number(rows(dataDir, 'SELECT count(*) AS held FROM grants WHERE key = ? AND open = 1', `${agentsNamespace}/${key}`)[0]?.['held']),
    async close() {
      await cluster.close();
      await provider.close();
    },
  };
}

async function installOn(release: ReleaseCluster, path: string): Promise<void> {
  const { cluster, images, install } = release;
  const capacity = { storage: '1Gi' };
  const shared = { accessModes: ['ReadWriteOnce'], storageClassName: '' };
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'operator-data' },
    spec: { ...shared, capacity, hostPath: { path } },
  });
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'operator-data', namespace: systemNamespace },
    spec: { ...shared, volumeName: 'operator-data', resources: { requests: capacity } },
  });
  const { operator, proxy } = importedImages(images);
  await install({ operator: { ...operator, persistence: { existingClaim: 'operator-data' } }, proxy });
}

async function importAgent(cluster: Cluster): Promise<void> {
  const program = await bundleProgram(join(import.meta.dirname, 'agent.ts'));
  const folder = cluster.folder;
  const files = { '/agent.mjs': program };
  await cluster.importImage(await nodeImage({ name: agentImage, folder, files, entrypoint: ['/usr/local/bin/node', '/agent.mjs'] }));
}

/** What calls cost by their records, in nano-USD. */
export function nanoOf(calls: readonly CallBody[]): number {
  return calls.reduce((total, { costNanoUsd }) => total + Number(costNanoUsd), 0);
}

interface PodBody {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status: { readonly podIP: string; readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** True where the Pod is ready and not about to end. */
export function isReady({ metadata, status }: PodBody): boolean {
  const ready = status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  return ready && metadata.deletionTimestamp === undefined;
}

/** Read beside the running operator, never written. */
function rows(dataDir: string, query: string, ...values: readonly string[]): readonly Record<string, unknown>[] {
  const database = new DatabaseSync(join(dataDir, 'keyforge.db'), { readOnly: true, timeout: 5000 });
  try {
    return database.prepare(query).all(...values);
  } finally {
    database.close();
  }
}
