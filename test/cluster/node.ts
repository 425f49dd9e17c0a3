import { mkdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildKubernetes, buildPause } from './build.ts';
import { type Component, startProcess } from './component.ts';
import type { ControlPlane } from './control-plane.ts';
import { exists } from './folder.ts';
import { fileImage } from './image.ts';
import { kubeconfig } from './kubeconfig.ts';
import type { NodeNamespaces } from './network.ts';
import { cniConfig, containerdSocket, containerdToml, kubeletConfig, type NodePlaces, pauseImage } from './node-config.ts';
import { nodeEnvironment, nodePackages } from './packages.ts';
import { run } from './run.ts';

/** A running node: containerd, kubelet and kube-proxy in namespaces of their own. */
export interface ClusterNode {
  /** Makes an image in a local archive known to containerd. */
  importImage(path: string): Promise<void>;
}

const nodeName = 'node';
const overlayMagic = 0x794c7630;

/** Starts it and waits until the node is Ready. All of it ends with the namespaces. */
export async function startNode(plane: ControlPlane, namespaces: NodeNamespaces): Promise<ClusterNode> {
  const [binFolder, pausePath, packages] = await Promise.all([buildKubernetes(), buildPause(), nodePackages()]);
  const folder = join(plane.folder, 'node');
  const snapshotter = (await statfs(plane.folder)).type === overlayMagic ? 'native' : 'overlayfs';
  const places: NodePlaces = { ...namespaces, ...packages, folder, snapshotter };
  await mkdir(folder);
  const kubeconfigPath = await writeFiles(plane, places);
  const start = (command: string, args: readonly string[]): Promise<Component> => {
    const name = command.split('/').at(-1);
    return startProcess(
      ...namespaces.enter('env', [...nodeEnvironment(packages), command, ...args]),
      join(plane.logsFolder, `${name}.log`),
    );
  };
  const ctr = (args: readonly string[]): Promise<string> =>
    run(
      ...namespaces.enter('env', [
        ...nodeEnvironment(packages),
        'ctr',
        '--address',
        containerdSocket(folder),
        '--namespace',
        'k8s.io',
        ...args,
      ]),
    );
  const importImage = async (path: string): Promise<void> => {
    await ctr(['images', 'import', '--snapshotter', snapshotter, path]);
  };

  const containerd = await start('containerd', ['--config', join(folder, 'containerd.toml')]);
  await containerd.until(() => exists(containerdSocket(folder)));
  await importImage(await fileImage({ name: pauseImage, folder, files: { '/pause': { from: pausePath } }, entrypoint: ['/pause'] }));
  const kubelet = await start(join(binFolder, 'kubelet'), [
    `--config=${join(folder, 'kubelet.json')}`,
    `--kubeconfig=${kubeconfigPath}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${namespaces.nodeAddress}`,
    `--root-dir=${join(folder, 'kubelet')}`,
    `--cert-dir=${join(folder, 'kubelet', 'pki')}`,
  ]);
  await start(join(binFolder, 'kube-proxy'), [
    `--kubeconfig=${plane.adminKubeconfigPath}`,
    '--proxy-mode=nftables',
    `--hostname-override=${nodeName}`,
    `--cluster-cidr=${namespaces.podRange}`,
    '--conntrack-max-per-core=0',
    '--bind-address=127.0.0.1',
    '--healthz-bind-address=127.0.0.1:10256',
    '--metrics-bind-address=127.0.0.1:10249',
  ]);
  await kubelet.until(() => isReady(plane));
  return { importImage };
}

/** Gives the path of the kubelet's kubeconfig. */
async function writeFiles(plane: ControlPlane, places: NodePlaces): Promise<string> {
  const { authority } = plane;
  const serving = await authority.issueServer(`system:node:${nodeName}`, [nodeName, places.nodeAddress]);
  const client = await authority.issueClient(`system:node:${nodeName}`, ['system:nodes']);
  const files = {
    'containerd.toml': containerdToml(places),
    'cni/10-pods.conflist': cniConfig(places),
    'kubelet.json': kubeletConfig(places),
    'kubelet.kubeconfig': kubeconfig(plane.url, plane.caPem, client),
    'pki/ca.crt': authority.certificate,
    'pki/kubelet.crt': serving.certificate,
    'pki/kubelet.key': serving.key,
  };
  for (const name of ['cni', 'pki', 'containerd']) await mkdir(join(places.folder, name));
  for (const [name, text] of Object.entries(files)) await writeFile(join(places.folder, name), text, { mode: 0o600 });
  return join(places.folder, 'kubelet.kubeconfig');
}

async function isReady({ client }: ControlPlane): Promise<boolean> {
  const { status, body } = await client.request('GET', `/api/v1/nodes/${nodeName}`);
  const conditions = (status === 200 ? (body.status.conditions ?? []) : []) as readonly { type: string; status: string }[];
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}
