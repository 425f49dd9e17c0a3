import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonPatchOperation } from '../kube/types.ts';
import { drift } from './compare.ts';
import { agentPod, injected, patched, settings } from './pod.fixture.ts';
import type { Pod } from './types.ts';

const proxy = '/spec/initContainers/0';
const live = injected(agentPod({ volumes: [{ name: 'own', emptyDir: {} }] }));

function after(...patch: readonly JsonPatchOperation[]): Pod {
  return patched(live, patch);
}

test('an injected Pod has no drift, nor what the cluster’s own parts write into any container', () => {
  assert.deepEqual(drift(live, settings), []);
  const touched = after(
    {
      op: 'replace',
      path: `${proxy}/resources`,
      value: { requests: { cpu: '1' }, limits: { cpu: '1', 'hugepages-2Mi': '2Mi', 'ephemeral-storage': '1Gi' } },
    },
    { op: 'add', path: `${proxy}/resizePolicy`, value: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }] },
    { op: 'replace', path: `${proxy}/image`, value: `mirror.example/a@sha256:${'a'.repeat(64)}` },
    { op: 'replace', path: `${proxy}/imagePullPolicy`, value: 'Always' },
    { op: 'add', path: `${proxy}/securityContext/procMount`, value: 'Default' },
    { op: 'add', path: '/spec/dnsConfig', value: { options: [{ name: 'ndots', value: '2' }] } },
  );
  assert.deepEqual(drift(touched, settings), []);
});

test('a second container of the proxy’s name is drift in any list', () => {
  const fake = { name: 'keyforge-proxy', image: 'attacker' };
  assert.deepEqual(drift(after({ op: 'add', path: '/spec/containers/-', value: fake }), settings), ['/spec/containers/1']);
  assert.deepEqual(drift(after({ op: 'add', path: '/spec/initContainers/-', value: fake }), settings), ['/spec/initContainers/1']);
  assert.deepEqual(drift(after({ op: 'add', path: '/spec/ephemeralContainers', value: [fake] }), settings), [
    '/spec/ephemeralContainers/0',
  ]);
});

test('image and root of an earlier release are no drift while they are accepted', () => {
  const old = { ...settings, image: `mirror.example/proxy@sha256:${'b'.repeat(64)}`, rootCertificate: 'the root before' };
  const accepted = { imageDigests: new Set([`sha256:${'b'.repeat(64)}`]), isRoot: (pem: string) => pem === 'the root before' };
  const pod = injected(agentPod(), old);
  assert.deepEqual(drift(pod, settings), [`${proxy}/image`, `${proxy}/env/1/value`]);
  assert.deepEqual(drift(pod, settings, accepted), []);
  // A text without a digest could mean any image by now.
  const loose = injected(agentPod(), { ...old, image: `mirror.example/proxy:${'b'.repeat(64)}`, rootCertificate: 'another root' });
  assert.deepEqual(drift(loose, settings, accepted), [`${proxy}/image`, `${proxy}/env/1/value`]);
  const elsewhere = patched(pod, [{ op: 'replace', path: `${proxy}/env/0/value`, value: 'the root before' }]);
  assert.deepEqual(drift(elsewhere, settings, accepted), [`${proxy}/env/0/value`]);
});

/** What to do to the live Pod, and the path that must be named. */
const drifts: readonly (readonly [string, JsonPatchOperation, string])[] = [
  // Fields of the container.
  ...Object.entries({
    image: 'evil@sha256:00',
    command: ['sh'],
    args: ['--log-level=trace'],
    workingDir: '/tmp',
    envFrom: [{ secretRef: { name: 'x' } }],
    restartPolicy: 'Never',
    restartPolicyRules: [{ action: 'Restart' }],
    lifecycle: { preStop: { exec: { command: ['sh'] } } },
    readinessProbe: { exec: { command: ['sh'] } },
    stdin: true,
    stdinOnce: true,
    tty: true,
    volumeDevices: [{ name: 'own', devicePath: '/dev/x' }],
    terminationMessagePath: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    terminationMessagePolicy: 'FallbackToLogsOnError',
    aFieldOfTomorrow: true,
  }).map(([field, value]) => [`container ${field}`, { op: 'add', path: `${proxy}/${field}`, value }, `${proxy}/${field}`] as const),
  ['restartPolicy stripped', { op: 'remove', path: `${proxy}/restartPolicy` }, `${proxy}/restartPolicy`],
  ['imagePullPolicy', { op: 'replace', path: `${proxy}/imagePullPolicy`, value: 'Never' }, `${proxy}/imagePullPolicy`],
  ['another control URL', { op: 'replace', path: `${proxy}/env/0/value`, value: 'wss://evil' }, `${proxy}/env/0/value`],
  ['another root certificate', { op: 'replace', path: `${proxy}/env/1/value`, value: 'PEM' }, `${proxy}/env/1/value`],
  ['NODE_OPTIONS', { op: 'add', path: `${proxy}/env/-`, value: { name: 'NODE_OPTIONS', value: '--inspect' } }, `${proxy}/env/2`],
  ['a mount more', { op: 'add', path: `${proxy}/volumeMounts/-`, value: { name: 'own', mountPath: '/app' } }, `${proxy}/volumeMounts/2`],
  ['a mount elsewhere', { op: 'replace', path: `${proxy}/volumeMounts/1/mountPath`, value: '/app' }, `${proxy}/volumeMounts/1/mountPath`],
  ['a mount less', { op: 'remove', path: `${proxy}/volumeMounts/1` }, `${proxy}/volumeMounts/1`],
  [
    'mount propagation',
    { op: 'add', path: `${proxy}/volumeMounts/1/mountPropagation`, value: 'Bidirectional' },
    `${proxy}/volumeMounts/1/mountPropagation`,
  ],
  ['a sub-path', { op: 'add', path: `${proxy}/volumeMounts/1/subPath`, value: 'x' }, `${proxy}/volumeMounts/1/subPath`],
  ['a port more', { op: 'add', path: `${proxy}/ports/-`, value: { containerPort: 1 } }, `${proxy}/ports/1`],
  ['a host port', { op: 'add', path: `${proxy}/ports/0/hostPort`, value: 9464 }, `${proxy}/ports/0/hostPort`],
  ['startup probe', { op: 'replace', path: `${proxy}/startupProbe/httpGet/path`, value: '/' }, `${proxy}/startupProbe/httpGet/path`],
  ['liveness probe', { op: 'add', path: `${proxy}/livenessProbe`, value: { exec: { command: ['sh'] } } }, `${proxy}/livenessProbe/httpGet`],
  ...['limits', 'requests'].map((kind) => {
    const path = `${proxy}/resources/${kind}/vendor.example~1device`;
    return [`a device in ${kind}`, { op: 'add', path, value: '1' }, path] as const;
  }),
  ['a device claim', { op: 'add', path: `${proxy}/resources/claims`, value: [{ name: 'x' }] }, `${proxy}/resources/claims`],
  ...Object.entries({
    allowPrivilegeEscalation: true,
    readOnlyRootFilesystem: false,
    runAsNonRoot: false,
    runAsUser: 0,
    runAsGroup: 0,
    privileged: true,
    procMount: 'Unmasked',
    seLinuxOptions: { level: 's0' },
    appArmorProfile: { type: 'Unconfined' },
    windowsOptions: { runAsUserName: 'x' },
  }).map(([field, value]) => {
    const path = `${proxy}/securityContext/${field}`;
    return [`securityContext ${field}`, { op: 'add', path, value }, path] as const;
  }),
  [
    'seccomp',
    { op: 'replace', path: `${proxy}/securityContext/seccompProfile/type`, value: 'Unconfined' },
    `${proxy}/securityContext/seccompProfile/type`,
  ],
  [
    'capabilities',
    { op: 'add', path: `${proxy}/securityContext/capabilities/add`, value: ['SYS_PTRACE'] },
    `${proxy}/securityContext/capabilities/add`,
  ],
  // Volumes.
  ['the token’s audience', audience('other'), '/spec/volumes/1/projected/sources/0/serviceAccountToken/audience'],
  [
    'a data volume of another kind',
    { op: 'replace', path: '/spec/volumes/2', value: { name: 'keyforge-data', hostPath: { path: '/' } } },
    '/spec/volumes/2/hostPath',
  ],
  ['a volume taken away', { op: 'remove', path: '/spec/volumes/2' }, '/spec/volumes'],
  // Fields of the Pod.
  ...Object.entries({
    hostNetwork: true,
    hostPID: true,
    hostIPC: true,
    shareProcessNamespace: true,
    hostAliases: [{ ip: '10.0.0.1', hostnames: ['api.openai.com'] }],
    hostnameOverride: 'api.openai.com',
    dnsPolicy: 'Default',
  }).map(([field, value]) => [`Pod ${field}`, { op: 'add', path: `/spec/${field}`, value }, `/spec/${field}`] as const),
  ['name servers', { op: 'add', path: '/spec/dnsConfig', value: { nameservers: ['10.0.0.1'] } }, '/spec/dnsConfig/nameservers'],
  ['search list', { op: 'add', path: '/spec/dnsConfig', value: { searches: ['evil'] } }, '/spec/dnsConfig/searches'],
  ['the Pod’s user', { op: 'add', path: '/spec/securityContext', value: { runAsUser: 64087 } }, '/spec/securityContext/runAsUser'],
  ['Windows', { op: 'add', path: '/spec/os', value: { name: 'windows' } }, '/spec/os'],
  [
    'the Pod’s AppArmor profile',
    { op: 'add', path: '/spec/securityContext', value: { appArmorProfile: { type: 'Unconfined' } } },
    '/spec/securityContext/appArmorProfile',
  ],
  [
    'the Pod’s SELinux type',
    { op: 'add', path: '/spec/securityContext', value: { seLinuxOptions: { type: 'spc_t' } } },
    '/spec/securityContext/seLinuxOptions',
  ],
  ['a container before it', { op: 'add', path: '/spec/initContainers/0', value: { name: 'first' } }, '/spec/initContainers/1'],
  ['the proxy gone', { op: 'remove', path: proxy }, '/spec/initContainers'],
  [
    'an ephemeral container',
    { op: 'add', path: '/spec/ephemeralContainers', value: [{ name: 'debugger', targetContainerName: 'keyforge-proxy' }] },
    '/spec/ephemeralContainers/0',
  ],
  // The other containers.
  ['its user', beside('securityContext', { runAsUser: 64087 }), '/spec/containers/0/securityContext/runAsUser'],
  ['privileged', beside('securityContext', { privileged: true }), '/spec/containers/0/securityContext/privileged'],
  [
    'SYS_PTRACE',
    beside('securityContext', { capabilities: { add: ['CHOWN', 'SYS_PTRACE'] } }),
    '/spec/containers/0/securityContext/capabilities/add/1',
  ],
  ['NET_RAW', beside('securityContext', { capabilities: { add: ['NET_RAW'] } }), '/spec/containers/0/securityContext/capabilities/add/0'],
  ['its token', beside('volumeMounts', [{ name: 'keyforge-token', mountPath: '/t' }]), '/spec/containers/0/volumeMounts/0'],
  ['its records', beside('volumeMounts', [{ name: 'keyforge-data', mountPath: '/t' }]), '/spec/containers/0/volumeMounts/0'],
  [
    'the node’s files',
    { op: 'replace', path: '/spec/volumes/0', value: { name: 'own', hostPath: { path: '/' } } },
    '/spec/volumes/0/hostPath',
  ],
  [
    'a token of its audience',
    {
      op: 'replace',
      path: '/spec/volumes/0',
      value: { name: 'own', projected: { sources: [{}, { serviceAccountToken: { audience: 'keyforge.dev/control', path: 't' } }] } },
    },
    '/spec/volumes/0/projected/sources/1/serviceAccountToken/audience',
  ],
];

function beside(field: string, value: unknown): JsonPatchOperation {
  return { op: 'add', path: `/spec/containers/0/${field}`, value };
}

function audience(value: string): JsonPatchOperation {
  return { op: 'replace', path: '/spec/volumes/1/projected/sources/0/serviceAccountToken/audience', value };
}

for (const [title, operation, path] of drifts) {
  test(`drift is seen: ${title}`, () => {
    assert.ok(drift(after(operation), settings).includes(path), JSON.stringify(drift(after(operation), settings)));
  });
}
