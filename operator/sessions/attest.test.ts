import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { Pod } from '../inject/types.ts';
import { type KubeClient, KubeError, type KubeObject, KubeUnreachable } from '../kube/types.ts';
import { type AttestorDeps, createAttestor } from './attest.ts';

const digest = `sha256:${'a'.repeat(64)}`;

const pod: Pod = {
  metadata: {
    name: 'agent-1',
    namespace: 'agents',
    uid: 'uid-1',
    creationTimestamp: '2026-11-20T10:00:00Z',
    labels: { 'keyforge.dev/inject': 'true' },
    annotations: { 'keyforge.dev/virtual-key': 'bot' },
    ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'nightly', uid: 'job-1', controller: true }],
  },
  spec: { serviceAccountName: 'agent' },
  status: { phase: 'Running', initContainerStatuses: [{ name: 'keyforge-proxy', imageID: `registry.example.com/proxy@${digest}` }] },
};

const review = {
  authenticated: true,
  audiences: ['keyforge.dev/control'],
  user: {
    username: 'system:serviceaccount:agents:agent',
    extra: { 'authentication.kubernetes.io/pod-name': ['agent-1'], 'authentication.kubernetes.io/pod-uid': ['uid-1'] },
  },
};

interface Cluster {
  readonly status?: object;
  readonly pod?: Pod | null;
  readonly fails?: Error;
}

function attestorOf(cluster: Cluster, more: Partial<AttestorDeps> = {}) {
  const reviews: KubeObject[] = [];
  const kube: Pick<KubeClient, 'get' | 'create'> = {
    async create(_resource, object) {
      if (cluster.fails !== undefined) throw cluster.fails;
      reviews.push(object);
      return { metadata: { name: '' }, status: cluster.status ?? review };
    },
    get: async (_resource, { namespace, name }) =>
      `${namespace}/${name}` === 'agents/agent-1' ? (cluster.pod === undefined ? pod : cluster.pod) : null,
  };
  const logger = pino({ level: 'silent' });
  return { reviews, ...createAttestor({ kube, drift: () => [], imageDigests: new Set([digest]), gateway: null, logger, ...more }) };
}

/** The refusal, or the scope's kind. */
async function outcome(cluster: Cluster, more: Partial<AttestorDeps> = {}): Promise<string> {
  const found = await attestorOf(cluster, more).attest('a token');
  return 'refusal' in found ? `${found.refusal}${found.retry ? ', try again' : ''}: ${found.message}` : found.kind;
}

test('a token bound to a Pod without drift is entitled to the key that the Pod names', async () => {
  const attestor = attestorOf({});
  assert.deepEqual(await attestor.attest('a token'), {
    kind: 'sidecar',
    instance: 'uid-1',
    key: 'agents/bot',
    run: { podUid: 'uid-1', podName: 'agent-1', jobUid: 'job-1', jobName: 'nightly' },
    podCreatedAtMs: Date.UTC(2026, 10, 20, 10),
  });
  assert.deepEqual(attestor.reviews[0]?.['spec'], { token: 'a token', audiences: ['keyforge.dev/control'] });
});

test('a token is refused that the API server does not accept, for another audience, of no ServiceAccount, or not bound to a Pod', async () => {
  const user = (more: object) => ({ ...review, user: { ...review.user, ...more } });
  for (const [status, why] of [
    [{ authenticated: false, error: 'expired' }, /does not accept/],
    [{}, /does not accept/],
    [{ ...review, audiences: ['https://kubernetes.default.svc'] }, /not for the audience/],
    [{ ...review, audiences: undefined }, /not for the audience/],
    [user({ username: 'kubernetes-admin' }), /does not belong to a ServiceAccount/],
    [user({ extra: {} }), /not bound to a Pod/],
  ] as const) {
    const refusal = await outcome({ status });
    assert.match(refusal, /^token_invalid: /);
    assert.match(refusal, why);
  }
});

test('a token that still reviews as valid is refused when its Pod is deleted, or another of its name is there', async () => {
  assert.match(await outcome({ pod: null }), /^pod_gone: /);
  assert.match(await outcome({ pod: { ...pod, metadata: { ...pod.metadata, uid: 'uid-2' } } }), /^pod_gone: /);
  assert.match(await outcome({ pod: { ...pod, status: { phase: 'Failed' } } }), /^pod_gone: /);
});

test('a Pod that is being deleted still has its session: it must ship what it recorded', async () => {
  const leaving = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-11-20T11:00:00Z' } };
  assert.equal(await outcome({ pod: leaving }), 'sidecar');
});

test('the ServiceAccount of the token is the Pod’s', async () => {
  assert.match(await outcome({ pod: { ...pod, spec: { serviceAccountName: 'other' } } }), /^token_invalid: /);
});

test('a Pod that differs from what was injected is refused with the places', async () => {
  const refusal = await outcome({}, { drift: () => ['/spec/initContainers/0/env/3', '/spec/shareProcessNamespace'] });
  assert.match(refusal, /^pod_drifted: .*\/spec\/initContainers\/0\/env\/3, \/spec\/shareProcessNamespace/);
});

test('a sidecar without its label is not watched, so it is refused', async () => {
  assert.match(await outcome({ pod: { ...pod, metadata: { ...pod.metadata, labels: {} } } }), /^pod_drifted: .*keyforge\.dev\/inject/);
});

test('only an allowed image may run as proxy; until the kubelet reports it, the proxy waits', async () => {
  const running = (imageID: string): Pod => ({ ...pod, status: { initContainerStatuses: [{ name: 'keyforge-proxy', imageID }] } });
  assert.match(await outcome({ pod: running(`x@sha256:${'b'.repeat(64)}`) }), /^image_denied: /);
  assert.match(await outcome({ pod: running('') }), /^pod_unready, try again: /);
  assert.match(await outcome({ pod: { ...pod, status: {} } }), /^pod_unready, try again: /);
  assert.equal(await outcome({ pod: running('anything') }, { imageDigests: new Set() }), 'sidecar');
});

test('a Pod that names no key gets none', async () => {
  const annotated = (name?: string): Pod => ({
    ...pod,
    metadata: { ...pod.metadata, annotations: name === undefined ? {} : { 'keyforge.dev/virtual-key': name } },
  });
  for (const name of [undefined, '', '../bot', 'other/bot', 'Bot']) assert.match(await outcome({ pod: annotated(name) }), /^key_unnamed: /);
});

test('a gateway is any Pod of the gateway’s ServiceAccount with an allowed image', async () => {
  const gateway = { namespace: 'agents', serviceAccount: 'agent' };
  const served: Pod = { ...pod, status: { containerStatuses: [{ name: 'keyforge-proxy', imageID: digest }] } };
  const drift = () => ['/spec'];
  assert.deepEqual(await attestorOf({ pod: served }, { gateway, drift }).attest('a token'), { kind: 'gateway', instance: 'uid-1' });
  const other: Pod = { ...pod, status: { containerStatuses: [{ name: 'keyforge-proxy', imageID: `sha256:${'b'.repeat(64)}` }] } };
  assert.match(await outcome({ pod: other }, { gateway, drift }), /^image_denied: /);
  assert.match(await outcome({ pod: served }, { gateway: { ...gateway, namespace: 'elsewhere' }, drift }), /^pod_drifted: /);
});

test('while the API server is unreachable, nobody is refused permanently', async () => {
  for (const fails of [
    new KubeUnreachable('reset'),
    new KubeError(503, 'ServiceUnavailable', 'no etcd'),
    new KubeError(403, 'Forbidden', 'rbac'),
  ]) {
    assert.match(await outcome({ fails }), /^api_unavailable, try again: /);
  }
});

test('a token is in no message', async () => {
  for (const cluster of [{ status: {} }, { pod: null }, { fails: new KubeUnreachable('a token') }]) {
    assert.doesNotMatch(await outcome(cluster), /a token/);
  }
});
