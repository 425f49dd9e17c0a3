import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { drift } from './compare.ts';
import { inject } from './inject.ts';
import { agentPod, injected, key, patched, settings } from './pod.fixture.ts';
import { viewOf } from './pod-view.ts';
import type { InjectedKey, Injection, Pod } from './types.ts';

function outcome(pod: Pod, from: InjectedKey | null = key): string {
  const injection: Injection = inject(viewOf(pod), 'agents', from, settings);
  return injection.kind === 'patch' ? 'patch' : `${injection.kind} ${injection.reason}`;
}

function labelled(metadata: Readonly<Record<string, unknown>>): Pod {
  return { ...agentPod(), metadata: { name: 'agent', ...metadata } };
}

test('only the label’s value "true" opts a Pod in', () => {
  assert.equal(outcome(labelled({})), 'skip NotOptedIn');
  assert.equal(outcome(labelled({ labels: { 'keyforge.dev/inject': 'false' } })), 'skip NotOptedIn');
});

test('a Pod must name a VirtualKey that exists and is delivered to sidecars', () => {
  const labels = { 'keyforge.dev/inject': 'true' };
  assert.equal(outcome(labelled({ labels })), 'refuse NoVirtualKeyAnnotation');
  assert.equal(outcome(labelled({ labels, annotations: { 'keyforge.dev/virtual-key': '../secrets' } })), 'refuse NoVirtualKeyAnnotation');
  assert.equal(outcome(agentPod(), null), 'refuse VirtualKeyNotFound');
  assert.equal(outcome(agentPod(), { secretName: 'x', sidecar: false }), 'refuse NotDeliveredToSidecars');
});

const agent = { name: 'agent', image: 'agent' };

function nodesWhere(operator: string, values: readonly string[]) {
  const nodeSelectorTerms = [{ matchExpressions: [{ key: 'kubernetes.io/os', operator, values }] }];
  return { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } } };
}

test('a Pod that may run on Linux, or gives the proxy no other confinement, is injected', () => {
  for (const spec of [
    nodesWhere('In', ['linux']),
    nodesWhere('In', ['linux', 'windows']),
    nodesWhere('NotIn', ['windows']),
    { securityContext: { appArmorProfile: { type: 'RuntimeDefault' }, seLinuxOptions: { level: 's0:c26,c10' } } },
    { containers: [{ ...agent, securityContext: { appArmorProfile: { type: 'Unconfined' }, seLinuxOptions: { type: 'spc_t' } } }] },
  ])
    assert.equal(outcome(agentPod(spec)), 'patch', JSON.stringify(spec));
});

for (const [reason, spec] of [
  ['HostNetwork', { hostNetwork: true }],
  ['HostPID', { hostPID: true }],
  ['HostIPC', { hostIPC: true }],
  ['SharedProcessNamespace', { shareProcessNamespace: true }],
  ['HostAliases', { hostAliases: [{ ip: '10.0.0.1', hostnames: ['x'] }] }],
  ['HostnameOverride', { hostnameOverride: 'api.openai.com' }],
  ['EphemeralContainer', { ephemeralContainers: [{ name: 'debug' }] }],
  [
    'ControlAudienceTaken',
    { volumes: [{ name: 'mine', projected: { sources: [{ serviceAccountToken: { audience: 'keyforge.dev/control', path: 't' } }] } }] },
  ],
  ['DnsConfig', { dnsConfig: { nameservers: ['10.0.0.1'] } }],
  ['Windows', { nodeSelector: { 'kubernetes.io/os': 'windows' } }],
  ['Windows', nodesWhere('In', ['windows'])],
  ['AppArmorProfile', { securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'mine' } } }],
  ['SELinuxOptions', { securityContext: { seLinuxOptions: { user: 'system_u' } } }],
  ['HostPath', { volumes: [{ name: 'node', hostPath: { path: '/' } }] }],
  ['UserIdTaken', { securityContext: { runAsUser: 64087 } }],
  ['PrivilegedContainer', { containers: [{ ...agent, securityContext: { privileged: true } }] }],
  ['CapabilityAdded', { containers: [{ ...agent, securityContext: { capabilities: { add: ['NET_ADMIN'] } } }] }],
  ['ProxyVolumeMounted', { containers: [{ ...agent, volumeMounts: [{ name: 'keyforge-token', mountPath: '/t' }] }] }],
  ['PortTaken', { containers: [{ ...agent, ports: [{ containerPort: 8787 }] }] }],
  ['PortTaken', { initContainers: [{ ...agent, name: 'side', ports: [{ containerPort: 9464 }] }] }],
  ['ForeignProxyContainer', { containers: [agent, { name: 'keyforge-proxy', image: 'x' }] }],
  ['ForeignProxyContainer', { initContainers: [{ name: 'keyforge-proxy', image: 'x' }] }],
  ['ForeignProxyContainer', { volumes: [{ name: 'keyforge-data', emptyDir: {} }] }],
] as const) {
  test(`a Pod is refused: ${reason} for ${JSON.stringify(spec)}`, () => {
    assert.equal(outcome(agentPod(spec)), `refuse ${reason}`);
  });
}

test('a provider’s key in a literal is refused by container and variable, and its value is not repeated', () => {
  const values = ['sk-proj-0123456789abcdefghijklmnop', `AIza${'x'.repeat(35)}`, 'Bearer sk-ant-api03-0123456789abcdefghij'];
  for (const value of values) {
    const pod = agentPod({ containers: [{ ...agent, env: [{ name: 'LLM_TOKEN', value }] }] });
    const injection = inject(viewOf(pod), 'agents', key, settings);
    assert.ok(injection.kind === 'refuse' && injection.reason === 'RawProviderKey');
    assert.match(injection.message, /container agent .* LLM_TOKEN/);
    assert.ok(!injection.message.includes(value.slice(-12)));
  }
  const named = { name: 'MISTRAL_API_KEY', value: 'abcdefghijklmnopqrstuvwxyz012345' };
  assert.equal(outcome(agentPod({ initContainers: [{ ...agent, name: 'first', env: [named] }] })), 'refuse RawProviderKey');
});

test('references, placeholders and our own tokens are no provider’s keys', () => {
  const env = [
    { name: 'OPENAI_API_KEY', valueFrom: { secretKeyRef: { name: 'x', key: 'y' } } },
    { name: 'ANTHROPIC_API_KEY', value: 'unused' },
    { name: 'MISTRAL_API_KEY', value: '$(A_VARIABLE_SET_ELSEWHERE)' },
    { name: 'GEMINI_API_KEY', value: `vk_${'x'.repeat(49)}` },
    { name: 'MODEL', value: 'task-force-of-a-name-that-is-long' },
  ];
  assert.equal(outcome(agentPod({ containers: [{ ...agent, env }] })), 'patch');
});

test('what another webhook did to our part is repaired by the second call', () => {
  const first = injected(agentPod({ initContainers: [{ name: 'migrate', image: 'm' }] }));
  const proxy = '/spec/initContainers/0';
  const container = settingsContainer(first);
  const damaged: readonly Pod[] = [
    patched(first, [{ op: 'remove', path: `${proxy}/restartPolicy` }]),
    patched(first, [
      { op: 'remove', path: proxy },
      { op: 'add', path: '/spec/initContainers/1', value: container },
    ]),
    patched(first, [{ op: 'add', path: `${proxy}/env/-`, value: { name: 'OTEL', value: 'x' } }]),
    patched(first, [{ op: 'add', path: '/spec/initContainers/0', value: { name: 'mesh', image: 'x' } }]),
    patched(first, [{ op: 'remove', path: '/spec/volumes/1' }]),
    patched(first, [{ op: 'replace', path: '/spec/volumes/1', value: { name: 'keyforge-data', emptyDir: {} } }]),
    patched(first, [{ op: 'add', path: '/spec/containers/-', value: { name: 'late', image: 'x' } }]),
  ];
  for (const pod of damaged) {
    const repaired = injected(pod);
    assert.deepEqual(drift(repaired, settings), []);
    assert.equal(outcome(repaired), 'skip AlreadyInjected');
    for (const each of containers(repaired)) assert.ok(JSON.stringify(each).includes('OPENAI_API_KEY'));
  }
});

function settingsContainer(pod: Pod): unknown {
  return (pod['spec'] as { initContainers: unknown[] }).initContainers[0];
}

function containers(pod: Pod): readonly unknown[] {
  return (pod['spec'] as { containers: unknown[] }).containers;
}

const variable = fc.record({
  name: fc.constantFrom('A', 'OPENAI_BASE_URL', 'GEMINI_API_KEY', 'NO_PROXY', 'no_proxy', 'ANTHROPIC_API_KEY'),
  value: fc.constantFrom('', 'x', '127.0.0.1,localhost,::1', '*', ' a , b '),
});
const computed = fc.record({
  name: fc.constantFrom('NO_PROXY', 'OPENAI_API_KEY'),
  valueFrom: fc.constant({ configMapKeyRef: { name: 'x', key: 'y' } }),
});
const env = fc.option(fc.array(fc.oneof(variable, computed), { maxLength: 5 }), { nil: null });
const container = (prefix: string) =>
  fc
    .array(env, { maxLength: 3 })
    .map((envs) => envs.map((each, i) => ({ name: `${prefix}${i}`, image: 'x', ...(each !== null && { env: each }) })));
const somePod = fc
  .record({
    containers: container('c').filter((each) => each.length > 0),
    initContainers: fc.option(container('i'), { nil: null }),
    volumes: fc.option(fc.constantFrom([], [{ name: 'v', emptyDir: {} }]), { nil: undefined }),
  })
  .map((spec) => agentPod(spec));

/** What other webhooks do. */
type Mutation = (pod: Pod) => Pod;
const mutations: readonly Mutation[] = [
  (pod) => withInit(pod, (init) => [{ name: `mesh${init.length}`, image: 'mesh' }, ...init]),
  (pod) => withInit(pod, (init) => init.toReversed()),
  (pod) => withInit(pod, (init) => init.map(({ restartPolicy: _, ...rest }) => rest)),
  (pod) =>
    withInit(pod, (init) =>
      init.map((each) => ({ ...each, env: [...((each['env'] as unknown[] | undefined) ?? []), { name: 'X', value: 'x' }] })),
    ),
  (pod) => ({ ...pod, spec: { ...(pod['spec'] as object), volumes: [{ name: 'theirs', emptyDir: {} }] } }),
  (pod) => ({
    ...pod,
    spec: { ...(pod['spec'] as object), containers: [...containers(pod), { name: `late${containers(pod).length}`, image: 'x' }] },
  }),
];

function withInit(pod: Pod, change: (init: readonly Readonly<Record<string, unknown>>[]) => readonly unknown[]): Pod {
  const spec = pod['spec'] as { initContainers?: readonly Readonly<Record<string, unknown>>[] | null };
  return { ...pod, spec: { ...spec, initContainers: change(spec.initContainers ?? []) } };
}

test('for any Pod and any webhooks before and after, injecting leaves no drift, and injecting again changes nothing', () => {
  const anyMutations = fc.array(fc.constantFrom(...mutations), { maxLength: 4 });
  fc.assert(
    fc.property(somePod, anyMutations, anyMutations, (pod, before, after) => {
      const first = injected(before.reduce((each, mutate) => mutate(each), pod));
      assert.deepEqual(drift(first, settings), []);
      assert.equal(outcome(first), 'skip AlreadyInjected');
      const second = injected(after.reduce((each, mutate) => mutate(each), first));
      assert.deepEqual(drift(second, settings), []);
      assert.equal(outcome(second), 'skip AlreadyInjected');
    }),
    { numRuns: 200 },
  );
});

test('nothing of the Pod is lost: without what was added, it is what it was', () => {
  fc.assert(
    fc.property(somePod, (pod) => {
      const before = pod['spec'] as Record<string, { name: string }[] | null | undefined>;
      const after = injected(pod)['spec'] as Record<string, { name: string; env?: { name: string }[] }[]>;
      for (const kind of ['containers', 'initContainers', 'volumes']) {
        const names = (after[kind] ?? []).map(({ name }) => name).filter((name) => !name.startsWith('keyforge-'));
        assert.deepEqual(
          names,
          (before[kind] ?? []).map(({ name }) => name),
        );
      }
    }),
    { numRuns: 100 },
  );
});
