import { join } from 'node:path';
import { buildKubernetes, buildPause, canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { startDns } from './dns.ts';
import { type ExecResult, execInPod } from './exec.ts';
import { createFolder } from './folder.ts';
import { createNamespaces, type NodeNamespaces } from './network.ts';
import { startNode } from './node.ts';
import { once } from './once.ts';
import { nodeEnvironment, nodePackages } from './packages.ts';
import { type NodeProcess, readProcesses } from './processes.ts';
import { run } from './run.ts';

/** A control plane with one node that runs real pods. Pods reach each other, Services, and `hostAddress`; nothing outside this machine. */
export interface Cluster extends ControlPlane {
  /** Where pods and the API server reach this process: bind simulated providers and webhooks to it. */
  readonly hostAddress: string;
  readonly nodeAddress: string;
  /** Loads an OCI layout in a tar; pods use it with `imagePullPolicy: Never`. */
  importImage(path: string): Promise<void>;
  /** All that the container has written; rejects where there is none. */
  podLogs(namespace: string, pod: string, container: string): Promise<string>;
  podExec(namespace: string, pod: string, container: string, command: readonly string[]): Promise<ExecResult>;
  /** Everything that runs on the node, with arguments and environment, as its root sees it. */
  processes(): readonly NodeProcess[];
}

/** Whether this machine can run pods; if not, why, for the reason of a skipped test. */
export async function canRunPods(): Promise<{ readonly ok: true } | { readonly ok: false; readonly why: string }> {
  const plane = canRunControlPlane();
  if (!plane.ok) return plane;
  if (process.platform !== 'linux') return { ok: false, why: 'pods need Linux' };
  if (process.getuid?.() !== 0) return { ok: false, why: 'pods need root, for namespaces and a network of their own' };
  for (const command of ['unshare', 'nsenter', 'ip', 'apt-get', 'dpkg', 'ldd']) {
    const found = await succeeds('sh', ['-c', `command -v ${command}`]);
    if (!found) return { ok: false, why: `pods need ${command}: on Debian, install util-linux, iproute2 and libc-bin` };
  }
  const probe = 'ip link add name probe0 type veth peer name probe1 && mount -t tmpfs tmpfs /var/lib';
  if (!(await succeeds('unshare', ['--net', '--mount', '--pid', '--fork', 'sh', '-c', probe]))) {
    return { ok: false, why: 'this process may not make namespaces, interfaces and mounts: run it as a privileged root' };
  }
  const groups = 'cd /sys/fs/cgroup; test -e cgroup.controllers || cd memory; rmdir "$(mktemp -d "$PWD/keyforge-XXXXXX")"';
  if (!(await succeeds('sh', ['-ec', groups]))) {
    return { ok: false, why: 'this process may not make control groups in /sys/fs/cgroup: run it where that is writable' };
  }
  try {
    const packages = await nodePackages();
    // What kube-proxy needs of the kernel.
    const rule = 'add rule ip probe probe fib daddr type local masquerade';
    const rules = `add table ip probe; add chain ip probe probe { type nat hook postrouting priority 100; }; ${rule}`;
    if (await succeeds('unshare', ['--net', 'env', ...nodeEnvironment(packages), 'nft', rules])) return { ok: true };
    return { ok: false, why: 'the kernel lacks nftables, or what Services need of it: nf_tables, nft_nat, nft_masq, nft_fib_ipv4' };
  } catch (error) {
    return { ok: false, why: `the packages of a node cannot be had: ${(error as Error).message}` };
  }
}

function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}

/** Starts it in about 6 s once everything is built. Close it. */
export async function startCluster(): Promise<Cluster> {
  const [folder] = await Promise.all([createFolder(), buildKubernetes(), buildPause(), nodePackages()]);
  const namespaces = await createNamespaces(folder, join(folder, 'logs'));
  try {
    return await assemble(folder, namespaces);
  } catch (error) {
    await namespaces.close();
    throw error;
  }
}

async function assemble(folder: string, namespaces: NodeNamespaces): Promise<Cluster> {
  const plane = await startControlPlane({ folder, network: namespaces });
  // The node first: it writes to the folder that the control plane removes.
  const opened: { close(): Promise<void> }[] = [namespaces, plane];
  const close = once(async () => {
    for (const each of opened) await each.close();
    await removeControlGroups();
  });
  try {
    opened.push(await startDns(namespaces.hostAddress, plane.client));
    const node = await startNode(plane, namespaces);
    const identity = await plane.authority.issueClient('admin', ['system:masters']);
    return {
      ...plane,
      hostAddress: namespaces.hostAddress,
      nodeAddress: namespaces.nodeAddress,
      importImage: node.importImage,
      podLogs: async (namespace, pod, container) => {
        const answer = await plane.client.request('GET', `/api/v1/namespaces/${namespace}/pods/${pod}/log?container=${container}`);
        if (answer.status !== 200) throw new Error(`log of ${namespace}/${pod} ${container}: ${answer.status} ${answer.body.message}`);
        return answer.text;
      },
      podExec: (namespace, pod, container, command) =>
        execInPod({ url: plane.url, caPem: plane.caPem, identity, namespace, pod, container }, command),
      processes: () => readProcesses(namespaces.pid),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Control groups outlive their containers; those of another cluster that are in use cannot be removed, and stay. */
async function removeControlGroups(): Promise<void> {
  await run('find', ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', '*/k8s.io*', '-exec', 'rmdir', '{}', '+']).catch(() => undefined);
}
