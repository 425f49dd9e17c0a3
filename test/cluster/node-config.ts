import { join } from 'node:path';

/** Name of the image that holds a pod's namespaces. */
export const pauseImage = 'keyforge.test/pause:1';

/** What the files below name. */
export interface NodePlaces {
  readonly folder: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
  readonly podRange: string;
  readonly runc: string;
  readonly cniFolder: string;
  /** `native` where the file system cannot carry overlays. */
  readonly snapshotter: 'overlayfs' | 'native';
}

/** Where containerd listens. */
export function containerdSocket(folder: string): string {
  return join(folder, 'containerd', 'containerd.sock');
}

/** For containerd 1.6 and 1.7; 2.x reads it too. Without `restrict_oom_score_adj` runc fails where CAP_SYS_RESOURCE is missing. */
export function containerdToml(places: NodePlaces): string {
  const socket = containerdSocket(places.folder);
  return `version = 2
root = "${join(places.folder, 'containerd', 'root')}"
state = "${join(places.folder, 'containerd', 'state')}"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${join(places.folder, 'containerd', 'opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${places.cniFolder}"
    conf_dir = "${join(places.folder, 'cni')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${places.snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "${places.runc}"
        SystemdCgroup = false
`;
}

/** Every pod has a pair of interfaces of its own, and a route through the node. Nothing leads out of the machine. */
export function cniConfig(places: NodePlaces): string {
  const ranges = [[{ subnet: places.podRange }]];
  const ipam = { type: 'host-local', dataDir: join(places.folder, 'addresses'), ranges, routes: [{ dst: '0.0.0.0/0' }] };
  return JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'ptp', ipMasq: false, ipam }] });
}

/** Runs on cgroup v1 and v2 alike, evicts nothing and is quick to look again. */
export function kubeletConfig(places: NodePlaces): string {
  const pki = join(places.folder, 'pki');
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: places.nodeAddress,
    healthzPort: 0,
    readOnlyPort: 0,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: join(pki, 'ca.crt') } },
    authorization: { mode: 'Webhook' },
    tlsCertFile: join(pki, 'kubelet.crt'),
    tlsPrivateKeyFile: join(pki, 'kubelet.key'),
    containerRuntimeEndpoint: `unix://${containerdSocket(places.folder)}`,
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    resolvConf: '',
    clusterDNS: [places.hostAddress],
    clusterDomain: 'cluster.local',
    evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'nodefs.inodesFree': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
    syncFrequency: '2s',
    fileCheckFrequency: '2s',
    nodeStatusUpdateFrequency: '5s',
    podLogsDir: join(places.folder, 'pod-logs'),
  });
}
