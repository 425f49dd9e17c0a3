import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Authority, createServiceAccountKeys } from './pki.ts';

/** Flags of a component, without dashes. */
export type Flags = Readonly<Record<string, string | number | boolean>>;

/** Addresses by which a node and its pods reach the control plane. */
export interface ControlPlaneNetwork {
  readonly hostAddress: string;
  /** CIDR of Services; its first address is the API server's. */
  readonly serviceRange: string;
}

/** Everything in one folder: etcd's data, and `pki` with the files that `writePki` made. */
export interface Layout {
  readonly folder: string;
  readonly address: string;
  readonly etcdUrl: string;
  readonly etcdPeerUrl: string;
  readonly apiserverPort: number;
  readonly network: ControlPlaneNetwork | undefined;
}

/** The API server's certificates and the keys that sign ServiceAccount tokens, as files for the flags below. */
export async function writePki(layout: Layout, authority: Authority): Promise<void> {
  const folder = join(layout.folder, 'pki');
  await mkdir(folder);
  const kubernetes = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  const service = layout.network?.serviceRange.replace(/\d+\/\d+$/, '1');
  const hosts = [...new Set([layout.address, '127.0.0.1', 'localhost', ...(service === undefined ? [] : [service]), ...kubernetes])];
  const server = await authority.issueServer('kube-apiserver', hosts);
  const kubeletClient = await authority.issueClient('kube-apiserver-kubelet-client', ['system:masters']);
  const tokens = createServiceAccountKeys();
  const files = {
    'ca.crt': authority.certificate,
    'apiserver.crt': server.certificate,
    'apiserver.key': server.key,
    'kubelet-client.crt': kubeletClient.certificate,
    'kubelet-client.key': kubeletClient.key,
    'sa.pub': tokens.publicKey,
    'sa.key': tokens.privateKey,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
}

/** No fsync and quick elections: ready in 60 ms, where the defaults take a second. */
export function etcdFlags(layout: Layout): Flags {
  return {
    name: 'test',
    'data-dir': join(layout.folder, 'etcd'),
    'listen-client-urls': layout.etcdUrl,
    'advertise-client-urls': layout.etcdUrl,
    'listen-peer-urls': layout.etcdPeerUrl,
    'initial-advertise-peer-urls': layout.etcdPeerUrl,
    'initial-cluster': `test=${layout.etcdPeerUrl}`,
    'unsafe-no-fsync': true,
    'heartbeat-interval': 10,
    'election-timeout': 100,
  };
}

/** Admission plugins are the default ones, hence also webhooks, ValidatingAdmissionPolicy, ServiceAccount and PodSecurity. */
export function apiserverFlags(layout: Layout): Flags {
  const pki = join(layout.folder, 'pki');
  const placed: Flags =
    layout.network === undefined
      ? // The address may not be a loopback one; with no reconciler nobody hears of it.
        { 'advertise-address': '192.0.2.1', 'endpoint-reconciler-type': 'none', 'service-cluster-ip-range': '10.96.0.0/24' }
      : { 'advertise-address': layout.address, 'service-cluster-ip-range': layout.network.serviceRange };
  return {
    ...placed,
    'etcd-servers': layout.etcdUrl,
    'bind-address': layout.address,
    'secure-port': layout.apiserverPort,
    'cert-dir': layout.folder,
    'tls-cert-file': join(pki, 'apiserver.crt'),
    'tls-private-key-file': join(pki, 'apiserver.key'),
    'client-ca-file': join(pki, 'ca.crt'),
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': join(pki, 'sa.pub'),
    'service-account-signing-key-file': join(pki, 'sa.key'),
    'kubelet-client-certificate': join(pki, 'kubelet-client.crt'),
    'kubelet-client-key': join(pki, 'kubelet-client.key'),
    'kubelet-certificate-authority': join(pki, 'ca.crt'),
    'kubelet-preferred-address-types': 'InternalIP',
    'authorization-mode': 'Node,RBAC',
    'allow-privileged': true,
  };
}

/** With the default limits on requests, the default ServiceAccount takes 9 s to appear instead of 3. */
export function schedulerFlags(kubeconfigPath: string): Flags {
  return { kubeconfig: kubeconfigPath, 'leader-elect': false, 'secure-port': 0, 'kube-api-qps': 1000, 'kube-api-burst': 1000 };
}

/** The same, and what it puts into each namespace. */
export function controllerFlags(layout: Layout, kubeconfigPath: string): Flags {
  const pki = join(layout.folder, 'pki');
  return {
    ...schedulerFlags(kubeconfigPath),
    'service-account-private-key-file': join(pki, 'sa.key'),
    'root-ca-file': join(pki, 'ca.crt'),
    'use-service-account-credentials': true,
  };
}
