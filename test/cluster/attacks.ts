// biome-ignore lint/suspicious/noExplicitAny: attacks reach into any place of a Pod
export type Json = Record<string, any>;

/** A Pod, open to every change. */
export interface PodJson extends Json {
  metadata: Json;
  spec: Json & { initContainers: Json[]; containers: Json[]; volumes: Json[] };
}

/** One way to the provider keys, as a change of an injected Pod. */
export interface Attack {
  readonly what: string;
  readonly change: (pod: PodJson) => unknown;
  /** Names the field in the refusal. */
  readonly says: string;
}

/** A digest that the chart allows besides. */
export const newerDigest: string = `sha256:${'b'.repeat(64)}`;

/** A changed copy. */
export function edit(pod: PodJson, change: (copy: PodJson) => unknown): PodJson {
  const copy = structuredClone(pod);
  change(copy);
  return copy;
}

const proxy = (pod: PodJson): Json => pod.spec.initContainers[0] ?? {};
const agent = (pod: PodJson): Json => pod.spec.containers[0] ?? {};

/** Lays fields over the proxy's container. */
const onProxy = (what: string, fields: Json, says: string): Attack => ({
  what: `a proxy with ${what}`,
  change: (pod) => Object.assign(proxy(pod), fields),
  says,
});
const onAgent = (what: string, fields: Json, says: string): Attack => ({
  what: `an agent with ${what}`,
  change: (pod) => Object.assign(agent(pod), fields),
  says,
});
const onPod = (what: string, fields: Json, says: string): Attack => ({
  what: `a Pod with ${what}`,
  change: (pod) => Object.assign(pod.spec, fields),
  says,
});
const onSecurity = (what: string, change: (security: Json) => unknown): Attack => ({
  what: `a proxy with ${what}`,
  change: (pod) => change(proxy(pod)['securityContext']),
  says: 'securityContext of keyforge-proxy',
});
const onEnv = (what: string, change: (env: Json[]) => unknown): Attack => ({
  what: `a proxy with ${what}`,
  change: (pod) => change(proxy(pod)['env']),
  says: 'env of keyforge-proxy',
});
const onMounts = (what: string, change: (mounts: Json[]) => unknown): Attack => ({
  what: `a proxy with ${what}`,
  change: (pod) => change(proxy(pod)['volumeMounts']),
  says: 'volumeMounts of keyforge-proxy',
});
const onResources = (what: string, resources: Json): Attack =>
  onProxy(`${what} among its resources`, { resources }, 'resources of keyforge-proxy');
const rawKey = (what: string, variable: Json, container = 'agent'): Attack => ({
  what,
  change: (pod) => Object.assign(agent(pod), { env: [{ name: 'HOME', value: '/' }, variable] }),
  says: `a provider's key as a literal in env of container ${container}`,
});

const exec = { exec: { command: ['sh'] }, httpGet: undefined };
const unexpected = (field: string) => `keyforge-proxy may not have ${field}`;
const canary = `sk-canary${'x'.repeat(30)}`;

const proxyFields: readonly Attack[] = [
  onProxy('another image', { image: 'attacker/proxy' }, 'image of keyforge-proxy'),
  onProxy('our image by tag', { image: 'registry.example/keyforge-proxy:latest' }, 'image of keyforge-proxy'),
  onProxy('a command', { command: ['sh'] }, unexpected('command')),
  onProxy('arguments', { args: ['--log-level=trace'] }, unexpected('args')),
  onProxy('another directory', { workingDir: '/tmp' }, unexpected('workingDir')),
  onProxy('a hook', { lifecycle: { preStop: { exec: { command: ['sh'] } } } }, unexpected('lifecycle')),
  onProxy('an open standard input', { stdin: true }, unexpected('stdin')),
  onProxy('a terminal', { tty: true }, unexpected('tty')),
  onProxy('variables from a ConfigMap', { envFrom: [{ configMapRef: { name: 'x' } }] }, unexpected('envFrom')),
  onProxy('a readiness probe', { readinessProbe: { exec: { command: ['sh'] } } }, unexpected('readinessProbe')),
  {
    what: 'a proxy with a raw device',
    change: (pod) => {
      pod.spec.volumes.push({ name: 'disk', persistentVolumeClaim: { claimName: 'x' } });
      proxy(pod)['volumeDevices'] = [{ name: 'disk', devicePath: '/dev/x' }];
    },
    says: unexpected('volumeDevices'),
  },
  {
    what: 'a proxy whose restartPolicy was dropped',
    change: (pod) => stripRestartPolicy(pod),
    says: 'restartPolicy of keyforge-proxy must be Always',
  },
  {
    what: 'a proxy that starts after another container',
    change: (pod) => pod.spec.initContainers.unshift({ name: 'early', image: 'x' }),
    says: 'must be the first of the initContainers',
  },
  {
    what: 'a proxy among the containers',
    change: (pod) =>
      pod.spec.containers.push({
        ...proxy({ ...pod, spec: { ...pod.spec, initContainers: pod.spec.initContainers.splice(0) } }),
        restartPolicy: undefined,
        startupProbe: undefined,
      }),
    says: 'must be the first of the initContainers',
  },
  {
    what: 'a proxy made by hand in a Pod that did not opt in',
    change: (pod) => Object.assign(pod.metadata, { labels: {} }),
    says: 'a name that only the injector may give',
  },
  {
    what: 'a container of the proxy’s name in a Pod that did not opt in',
    change: (pod) => {
      pod.metadata['labels'] = {};
      pod.spec.initContainers = [];
      pod.spec.containers = [{ name: 'keyforge-proxy', image: 'x' }];
    },
    says: 'a name that only the injector may give',
  },
  onProxy(
    'a port of the node',
    { ports: [{ name: 'kf-metrics', containerPort: 9464, hostPort: 9464, protocol: 'TCP' }] },
    'ports of keyforge-proxy',
  ),
  onProxy('the agent’s port open', { ports: [{ name: 'agent', containerPort: 8787, protocol: 'TCP' }] }, 'ports of keyforge-proxy'),
  onProxy(
    'another file for its last words',
    { terminationMessagePath: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
    'terminationMessagePath of keyforge-proxy',
  ),
  ...['startupProbe', 'livenessProbe'].map(
    (probe): Attack => ({
      what: `a proxy with a command as ${probe}`,
      change: (pod) => Object.assign(proxy(pod)[probe], exec),
      says: 'probes of keyforge-proxy',
    }),
  ),
  {
    what: 'a proxy with a probe of another host',
    change: (pod) => Object.assign(proxy(pod)['livenessProbe'].httpGet, { host: 'attacker.example' }),
    says: 'probes of keyforge-proxy',
  },
  {
    what: 'a proxy with a probe of another path',
    change: (pod) => Object.assign(proxy(pod)['startupProbe'].httpGet, { path: '/metrics' }),
    says: 'probes of keyforge-proxy',
  },
  {
    what: 'a proxy with a probe of another port',
    change: (pod) => Object.assign(proxy(pod)['livenessProbe'].httpGet, { port: 8787 }),
    says: 'probes of keyforge-proxy',
  },
  {
    what: 'a proxy without startup probe',
    change: (pod) => Object.assign(proxy(pod), { startupProbe: undefined }),
    says: 'probes of keyforge-proxy',
  },
];

function stripRestartPolicy(pod: PodJson): void {
  const { restartPolicy: _, startupProbe: __, livenessProbe: ___, ...rest } = proxy(pod);
  pod.spec.initContainers[0] = rest;
}

const proxyParts: readonly Attack[] = [
  onEnv('NODE_OPTIONS', (env) => env.push({ name: 'NODE_OPTIONS', value: '--inspect' })),
  onEnv('a certificate authority of Node', (env) => env.push({ name: 'NODE_EXTRA_CA_CERTS', value: '/tmp/ca' })),
  onEnv('another operator', (env) => Object.assign(env[0] ?? {}, { value: 'wss://attacker.example/control' })),
  onEnv('no certificate of the operator', (env) => Object.assign(env[1] ?? {}, { value: '' })),
  onEnv('a certificate from elsewhere', (env) =>
    Object.assign(env[1] ?? {}, { value: undefined, valueFrom: { configMapKeyRef: { name: 'x', key: 'ca' } } }),
  ),
  onEnv('one variable less', (env) => env.pop()),
  onMounts('another mount', (mounts) => mounts.push({ name: 'keyforge-data', mountPath: '/app' })),
  onMounts('its token elsewhere', (mounts) => Object.assign(mounts[0] ?? {}, { mountPath: '/tmp/token' })),
  onMounts('its data passed on', (mounts) => Object.assign(mounts[1] ?? {}, { mountPropagation: 'HostToContainer' })),
  onMounts('a part of its data', (mounts) => Object.assign(mounts[1] ?? {}, { subPath: 'x' })),
  onSecurity('privileges', (security) => Object.assign(security, { privileged: true, allowPrivilegeEscalation: true })),
  onSecurity('more privileges later', (security) => Object.assign(security, { allowPrivilegeEscalation: true })),
  onSecurity('a capability', (security) => Object.assign(security, { capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } })),
  onSecurity('all capabilities', (security) => Object.assign(security, { capabilities: {} })),
  onSecurity('a root file system to write to', (security) => Object.assign(security, { readOnlyRootFilesystem: false })),
  onSecurity('another user', (security) => Object.assign(security, { runAsUser: 1000 })),
  onSecurity('another group', (security) => Object.assign(security, { runAsGroup: 0 })),
  onSecurity('root allowed', (security) => Object.assign(security, { runAsNonRoot: false })),
  onSecurity('no seccomp profile', (security) => Object.assign(security, { seccompProfile: { type: 'Unconfined' } })),
  onSecurity('no AppArmor profile', (security) => Object.assign(security, { appArmorProfile: { type: 'Unconfined' } })),
  {
    what: 'a proxy with no AppArmor profile, by annotation',
    change: (pod) =>
      Object.assign(pod.metadata['annotations'], { 'container.apparmor.security.beta.kubernetes.io/keyforge-proxy': 'unconfined' }),
    says: 'securityContext of keyforge-proxy',
  },
  onSecurity('another SELinux type', (security) => Object.assign(security, { seLinuxOptions: { type: 'spc_t' } })),
  onResources('a device', { limits: { 'vendor.example/device': '1' } }),
  onResources('a device beside memory', {
    limits: { memory: '256Mi', 'vendor.example/device': '1' },
    requests: { memory: '96Mi' },
  }),
  {
    what: 'a proxy with a claim of a device',
    change: (pod) => {
      pod.spec['resourceClaims'] = [{ name: 'device', resourceClaimName: 'x' }];
      proxy(pod)['resources'] = { claims: [{ name: 'device' }] };
    },
    says: 'resources of keyforge-proxy',
  },
  {
    what: 'a token for another audience',
    change: (pod) =>
      Object.assign(volume(pod, 'keyforge-token')['projected'].sources[0].serviceAccountToken, {
        audience: 'https://kubernetes.default.svc',
      }),
    says: 'volumes keyforge-token and keyforge-data',
  },
  {
    what: 'a token together with a Secret',
    change: (pod) => volume(pod, 'keyforge-token')['projected'].sources.push({ secret: { name: 'x' } }),
    says: 'volumes keyforge-token and keyforge-data',
  },
  {
    what: 'data of the proxy in another Pod’s reach',
    change: (pod) => {
      const data = volume(pod, 'keyforge-data');
      delete data['emptyDir'];
      data['persistentVolumeClaim'] = { claimName: 'shared' };
    },
    says: 'volumes keyforge-token and keyforge-data',
  },
];

function volume(pod: PodJson, name: string): Json {
  return pod.spec.volumes.find((each) => each['name'] === name) ?? {};
}

const windowsAffinity = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        {
          matchExpressions: [
            { key: 'zone', operator: 'Exists' },
            { key: 'kubernetes.io/os', operator: 'In', values: ['windows'] },
          ],
        },
      ],
    },
  },
};

const podFields: readonly Attack[] = [
  onPod('the node’s network', { hostNetwork: true }, 'hostNetwork'),
  onPod('the node’s processes', { hostPID: true }, 'hostPID'),
  onPod('the node’s IPC', { hostIPC: true }, 'hostIPC'),
  onPod('shared processes', { shareProcessNamespace: true }, 'shareProcessNamespace'),
  onPod('host aliases', { hostAliases: [{ ip: '10.0.0.1', hostnames: ['api.openai.com'] }] }, 'hostAliases'),
  onPod('name servers', { dnsConfig: { nameservers: ['10.0.0.1'] } }, 'dnsConfig.nameservers'),
  onPod('a search list', { dnsConfig: { searches: ['attacker.example'] } }, 'dnsConfig.searches'),
  onPod('name servers only of its own', { dnsPolicy: 'None', dnsConfig: { nameservers: ['10.0.0.1'] } }, 'dnsPolicy'),
  onPod('name servers of the node', { dnsPolicy: 'Default' }, 'dnsPolicy'),
  onPod('another host’s name', { hostnameOverride: 'api.openai.com' }, 'hostnameOverride'),
  onPod('a node of Windows', { nodeSelector: { 'kubernetes.io/os': 'windows' } }, 'the proxy runs on Linux only'),
  onPod('an affinity to nodes of Windows', { affinity: windowsAffinity }, 'the proxy runs on Linux only'),
  {
    what: 'a Pod of Windows',
    // What only Linux has, the API server itself refuses there.
    change: (pod) => {
      pod.spec['os'] = { name: 'windows' };
      delete proxy(pod)['securityContext'];
    },
    says: 'the proxy runs on Linux only',
  },
  onPod('options of Windows', { securityContext: { windowsOptions: { runAsUserName: 'x' } } }, 'the proxy runs on Linux only'),
  onPod('no AppArmor profile', { securityContext: { appArmorProfile: { type: 'Unconfined' } } }, 'securityContext.appArmorProfile'),
  onPod(
    'an AppArmor profile of the node',
    { securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'mine' } } },
    'securityContext.appArmorProfile',
  ),
  ...['user', 'role', 'type'].map((field) =>
    onPod(
      `another SELinux ${field}`,
      { securityContext: { seLinuxOptions: { [field]: 'x', level: 's0' } } },
      'securityContext.seLinuxOptions',
    ),
  ),
  onPod('the proxy’s user', { securityContext: { runAsUser: 64087 } }, 'user 64087'),
  {
    what: 'a Pod with files of the node',
    change: (pod) => pod.spec.volumes.push({ name: 'host', hostPath: { path: '/' } }),
    says: 'volume host: a hostPath',
  },
  {
    what: 'a second token for the operator',
    change: (pod) =>
      pod.spec.volumes.push({
        name: 'twin',
        projected: { sources: [{ serviceAccountToken: { audience: 'keyforge.dev/control', path: 'token' } }] },
      }),
    says: 'volume twin: the audience keyforge.dev/control',
  },
];

const containerFields: readonly Attack[] = [
  onAgent(
    'the proxy’s token',
    { volumeMounts: [{ name: 'keyforge-token', mountPath: '/t' }] },
    'container agent mounts a volume of the proxy',
  ),
  onAgent(
    'the proxy’s records',
    { volumeMounts: [{ name: 'keyforge-data', mountPath: '/d' }] },
    'container agent mounts a volume of the proxy',
  ),
  {
    what: 'an init container with the proxy’s token',
    change: (pod) =>
      pod.spec.initContainers.push({ name: 'late', image: 'x', volumeMounts: [{ name: 'keyforge-token', mountPath: '/t' }] }),
    says: 'container late mounts a volume of the proxy',
  },
  onAgent('the proxy’s user', { securityContext: { runAsUser: 64087 } }, 'container agent runs as user 64087'),
  onAgent('options of Windows', { securityContext: { windowsOptions: { runAsUserName: 'x' } } }, 'container agent has windowsOptions'),
  onAgent('privileges', { securityContext: { privileged: true } }, 'container agent is privileged'),
  ...['NET_RAW', 'NET_ADMIN', 'SYS_PTRACE', 'SYS_ADMIN', 'ALL'].map((capability) =>
    onAgent(
      capability,
      { securityContext: { capabilities: { add: ['CHOWN', capability] } } },
      `reach into the proxy (CHOWN, ${capability})`,
    ),
  ),
  rawKey('a provider’s key of known shape in any variable', { name: 'MODEL_TOKEN', value: canary }),
  rawKey('a provider’s key within a text', { name: 'CONFIG', value: `{"key":"${canary}"}` }),
  rawKey('a key of Anthropic', { name: 'X', value: `sk-ant-api03-canary${'y'.repeat(40)}` }),
  rawKey('a key of Google', { name: 'X', value: `AIzacanary${'z'.repeat(29)}` }),
  rawKey('a key of AWS', { name: 'X', value: `AKIA${'Z'.repeat(16)}` }),
  rawKey('a key without shape where such keys are kept', { name: 'MISTRAL_API_KEY', value: `canary${'q'.repeat(26)}` }),
];

/** One a field. */
export const attacks: readonly Attack[] = [...proxyFields, ...proxyParts, ...podFields, ...containerFields];
