import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuiltImages, buildImages } from '../../scripts/images/build.ts';
import { packageVersion } from '../../scripts/images/files.ts';
import { cacheRoot } from './cache.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { helmBinary } from './helm.ts';
import { run } from './run.ts';

export const systemNamespace = 'keyforge-system';
const chart = join(import.meta.dirname, '..', '..', 'charts', 'keyforge');

/** A real node that has the images of this tree, and a namespace to install the chart into. */
export interface ReleaseCluster {
  readonly cluster: Cluster;
  readonly images: BuiltImages;
  helm(...args: readonly string[]): Promise<string>;
  /** Installs the chart as `keyforge` and waits until all of it is ready; what its Pods say is in the error. */
  install(values: object): Promise<void>;
}

/** Starts it in about 15 s once everything is built. Close the cluster. */
export async function startReleaseCluster(): Promise<ReleaseCluster> {
  const cluster = await startCluster();
  try {
    return await prepare(cluster);
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

async function prepare(cluster: Cluster): Promise<ReleaseCluster> {
  const binary = await helmBinary();
  const out = join(cluster.folder, 'images');
  const images = await buildImages({ out, version: packageVersion(), cacheDir: join(cacheRoot(), 'layers') });
  await cluster.importImage(images.proxy.file);
  await cluster.importImage(images.operator.file);
  await cluster.createNamespace(systemNamespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });

  async function helm(...args: readonly string[]): Promise<string> {
    const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, join(cluster.folder, 'helm', name)]);
    const environment = { ...Object.fromEntries(homes), KUBECONFIG: cluster.adminKubeconfigPath };
    return run(binary, [...args, '--namespace', systemNamespace], { environment });
  }

  return {
    cluster,
    images,
    helm,
    async install(values) {
      const file = join(cluster.folder, 'values.json');
      await writeFile(file, JSON.stringify(values));
      await helm('install', 'keyforge', chart, '--values', file, '--wait', '--timeout', '240s').catch(async (error: Error) => {
        throw new Error(`${error.message}\n${await logs(cluster)}`);
      });
    },
  };
}

interface ImportedImages {
  readonly operator: { readonly image: { readonly pullPolicy: 'Never' } };
  readonly proxy: { readonly image: { readonly pullPolicy: 'Never' }; readonly allowedDigests: readonly string[] };
}

/** Values by which the chart runs the images that were imported. */
export function importedImages({ proxy }: BuiltImages): ImportedImages {
  return {
    operator: { image: { pullPolicy: 'Never' } },
    // Of an image that was imported, not pulled, a node tells the digest of its configuration.
    proxy: { image: { pullPolicy: 'Never' }, allowedDigests: [proxy.imageId] },
  };
}

async function logs(cluster: Cluster): Promise<string> {
  const { body } = await cluster.client.request('GET', `/api/v1/namespaces/${systemNamespace}/pods`);
  const texts = (
    body.items as readonly { metadata: { name: string }; status: unknown; spec: { containers: readonly [{ name: string }] } }[]
  ).map(async ({ metadata, spec, status }) => {
    const text = await cluster.podLogs(systemNamespace, metadata.name, spec.containers[0].name).catch(String);
    return `${metadata.name}: ${JSON.stringify(status)}\n${text}`;
  });
  return (await Promise.all(texts)).join('\n');
}
