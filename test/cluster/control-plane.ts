import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type ApiClient, openApiClient } from './api-client.ts';
import { apply } from './apply.ts';
import { buildKubernetes, type KubernetesComponent } from './build.ts';
import { type Component, startComponent } from './component.ts';
import { compact, isHealthy } from './etcd.ts';
import {
  apiserverFlags,
  type ControlPlaneNetwork,
  controllerFlags,
  etcdFlags,
  type Flags,
  type Layout,
  schedulerFlags,
  writePki,
} from './flags.ts';
import { createFolder } from './folder.ts';
import { kubeconfig } from './kubeconfig.ts';
import { once } from './once.ts';
import { type Authority, createAuthority, type KeyPair } from './pki.ts';

/** What may differ from test to test. */
export interface ControlPlaneOptions {
  /** More flags for kube-apiserver, without dashes. */
  readonly apiserverFlags?: Flags;
  /** Where it listens, for a cluster with a node. Default: loopback only, and no scheduler. */
  readonly network?: ControlPlaneNetwork;
  /** Where everything is kept; `close` removes it. Default: a new temporary folder. */
  readonly folder?: string;
}

/** A running etcd, kube-apiserver and kube-controller-manager, empty but for what Kubernetes makes itself. */
export interface ControlPlane extends AsyncDisposable {
  /** `https://…`, of the API server. */
  readonly url: string;
  /** What signed the API server's certificate. */
  readonly caPem: string;
  readonly authority: Authority;
  readonly adminKubeconfigPath: string;
  /** Temporary; gone after `close`. */
  readonly folder: string;
  /** One `<component>.log` each. */
  readonly logsFolder: string;
  /** As an administrator. */
  readonly client: ApiClient;
  /** Path of a kubeconfig with a client certificate. A ServiceAccount is the user `system:serviceaccount:NAMESPACE:NAME`. */
  kubeconfigFor(user: string, groups?: readonly string[]): Promise<string>;
  /** The same identity, ready to use; close it. */
  clientFor(user: string, groups?: readonly string[]): Promise<ApiClient>;
  /** Applies an object, or YAML text with several, as an administrator; rejects where one is refused. */
  apply(manifest: object | string): Promise<void>;
  /** With its default ServiceAccount: pods can be made in it. */
  createNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /** Ends it without warning: connections break. */
  stopApiserver(): Promise<void>;
  /** On the same port as before; waits until it is ready. */
  startApiserver(): Promise<void>;
  /** Drops the history of all objects from etcd. What the API server still has in memory it goes on serving: restart it for a watch to see 410. */
  compact(): Promise<void>;
  /** Ends everything and removes the folder; a second call waits for the first. */
  close(): Promise<void>;
}

/** Starts it in about 4 s, after one build of about six minutes on a machine that never ran it. Close it. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const binFolder = await buildKubernetes();
  const folder = options.folder ?? (await createFolder());
  const started = new Set<Component>();
  const end = async (): Promise<void> => {
    await Promise.all([...started].map((component) => component.kill()));
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    return await assemble({ binFolder, folder, options, started, end });
  } catch (error) {
    await end();
    throw error;
  }
}

interface Assembly {
  readonly binFolder: string;
  readonly folder: string;
  readonly options: ControlPlaneOptions;
  /** Everything that `end` must kill. */
  readonly started: Set<Component>;
  end(): Promise<void>;
}

async function assemble({ binFolder, folder, options, started, end }: Assembly): Promise<ControlPlane> {
  const logsFolder = join(folder, 'logs');
  await mkdir(logsFolder, { recursive: true });
  const layout = await layOut(folder, options.network);
  const authority = await createAuthority();
  await writePki(layout, authority);
  const url = `https://${layout.address}:${layout.apiserverPort}`;
  const open = (identity: KeyPair): ApiClient => openApiClient(url, authority.certificate, identity);
  const kubeconfigFor = async (user: string, groups: readonly string[] = []): Promise<string> => {
    const path = join(folder, `${user.replaceAll(/[^\w.-]/g, '_')}.kubeconfig`);
    await writeFile(path, kubeconfig(url, authority.certificate, await authority.issueClient(user, groups)), { mode: 0o600 });
    return path;
  };
  const client = open(await authority.issueClient('admin', ['system:masters']));
  const start = async (name: KubernetesComponent, flags: Flags): Promise<Component> => {
    const component = await startComponent({ binFolder, logsFolder, name, flags });
    started.add(component);
    return component;
  };

  const etcd = await start('etcd', etcdFlags(layout));
  await etcd.until(() => isHealthy(`${layout.etcdUrl}/health`));
  const runApiserver = async (): Promise<Component> => {
    const component = await start('kube-apiserver', { ...apiserverFlags(layout), ...options.apiserverFlags });
    await component.until(() => isReady(client));
    return component;
  };
  let apiserver = await runApiserver();
  await start('kube-controller-manager', controllerFlags(layout, await kubeconfigFor('system:kube-controller-manager')));
  if (options.network !== undefined) await start('kube-scheduler', schedulerFlags(await kubeconfigFor('system:kube-scheduler')));
  await untilServiceAccount(client, 'default');

  const close = once(async () => {
    await client.close();
    await end();
  });
  return {
    url,
    caPem: authority.certificate,
    authority,
    adminKubeconfigPath: await kubeconfigFor('admin', ['system:masters']),
    folder,
    logsFolder,
    client,
    kubeconfigFor,
    clientFor: async (user, groups = []) => open(await authority.issueClient(user, groups)),
    apply: (manifest) => apply(client, manifest),
    createNamespace: async (name, labels = {}) => {
      await apply(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
      await untilServiceAccount(client, name);
    },
    stopApiserver: () => apiserver.kill(),
    startApiserver: async () => {
      apiserver = await runApiserver();
    },
    compact: () => compact(layout.etcdUrl),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function layOut(folder: string, network: ControlPlaneNetwork | undefined): Promise<Layout> {
  const [etcdPort = 0, peerPort = 0, apiserverPort = 0] = await freePorts(3);
  return {
    folder,
    address: network?.hostAddress ?? '127.0.0.1',
    etcdUrl: `http://127.0.0.1:${etcdPort}`,
    etcdPeerUrl: `http://127.0.0.1:${peerPort}`,
    apiserverPort,
    network,
  };
}

/** Ports that were free a moment ago: all are held until the last is known. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}

async function isReady(client: ApiClient): Promise<boolean> {
  return client.request('GET', '/readyz').then(
    (answer) => answer.status === 200,
    () => false,
  );
}

/** Without it the API server refuses every pod of the namespace. */
async function untilServiceAccount(client: ApiClient, namespace: string): Promise<void> {
  for (let tries = 0; tries < 3000; tries++, await pause(20)) {
    if ((await client.request('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/default`)).status === 200) return;
  }
  throw new Error(`namespace ${namespace} has had no default ServiceAccount for a minute: see kube-controller-manager.log`);
}
