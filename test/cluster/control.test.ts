import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import type { ControlPort } from '../../core/protocol/control.ts';
import { drift } from '../../operator/inject/compare.ts';
import { renderProxy } from '../../operator/inject/render.ts';
import type { Pod, RenderSettings } from '../../operator/inject/types.ts';
import { connectKube } from '../../operator/kube/client.ts';
import { pods } from '../../operator/kube/resources.ts';
import type { KubeClient } from '../../operator/kube/types.ts';
import { type Attestor, createAttestor } from '../../operator/sessions/attest.ts';
import type { Refused } from '../../operator/sessions/scope.ts';
import { serveSessions } from '../../operator/sessions/sessions.ts';
import { reviewToken } from '../../operator/sessions/token-review.ts';
import { connectOperator } from '../../proxy/link/session.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { until } from './operator-world.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why };
const logger = pino({ level: 'silent' });
const digest = `sha256:${'a'.repeat(64)}`;

const settings: RenderSettings = {
  image: `registry.example/keyforge-proxy@${digest}`,
  imagePullPolicy: 'IfNotPresent',
  controlUrl: 'wss://keyforge-operator.keyforge-system.svc:443/control',
  rootCertificate: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  resources: { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '192Mi' } },
};

let cp: ControlPlane;
let kube: KubeClient;
let attestor: Attestor;

before(async () => {
  if (!can.ok) return;
  cp = await startControlPlane();
  kube = connectKube({ kubeconfig: cp.adminKubeconfigPath, logger });
  await cp.createNamespace('agents');
  attestor = createAttestor({
    kube,
    drift: (pod) => drift(pod, settings),
    imageDigests: new Set([digest]),
    gateway: { namespace: 'agents', serviceAccount: 'gateway' },
    logger,
  });
});

after(async () => {
  await kube?.close();
  await cp?.close();
});

/** A Pod with its proxy, as the injector leaves it; its uid. */
async function createPod(name: string): Promise<string> {
  const { container, volumes } = renderProxy(settings);
  const pod = {
    metadata: {
      name,
      labels: { 'keyforge.dev/inject': 'true' },
      annotations: { 'keyforge.dev/virtual-key': 'bot' },
    },
    spec: { initContainers: [container], containers: [{ name: 'agent', image: 'agent' }], volumes },
  };
  const { status, body } = await cp.client.request('POST', '/api/v1/namespaces/agents/pods', pod);
  assert.equal(status, 201, JSON.stringify(body));
  return body.metadata.uid;
}

/** What a kubelet writes once the proxy runs. */
async function reportImage(name: string, imageID: string): Promise<void> {
  const proxy = { name: 'keyforge-proxy', image: 'x', imageID, ready: true, restartCount: 0, started: true };
  const { status } = await cp.client.request('PATCH', `/api/v1/namespaces/agents/pods/${name}/status`, {
    status: { phase: 'Running', initContainerStatuses: [proxy] },
  });
  assert.equal(status, 200);
}

/** A token of the ServiceAccount `default`, as the kubelet asks for it. */
async function tokenFor(pod: { readonly name: string; readonly uid: string } | null, audience = 'keyforge.dev/control'): Promise<string> {
  const { status, body } = await cp.client.request('POST', '/api/v1/namespaces/agents/serviceaccounts/default/token', {
    spec: {
      audiences: [audience],
      expirationSeconds: 600,
      ...(pod !== null && { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } }),
    },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.status.token;
}

async function refusalOf(token: string): Promise<string> {
  const found = await attestor.attest(token);
  return 'refusal' in found ? found.refusal : found.kind;
}

test(
  'the token that the API server bound to an injected Pod opens the key that the Pod names, once its image is known',
  options,
  async () => {
    const uid = await createPod('one');
    const token = await tokenFor({ name: 'one', uid });
    assert.equal(await refusalOf(token), 'pod_unready');
    await reportImage('one', `registry.example/keyforge-proxy@${digest}`);
    const { podCreatedAtMs, ...scope } = (await attestor.attest(token)) as { podCreatedAtMs: number };
    assert.deepEqual(scope, { kind: 'sidecar', instance: uid, key: 'agents/bot', run: { podUid: uid, podName: 'one' } });
    assert.ok(Math.abs(Date.now() - podCreatedAtMs) < 60_000);
    await reportImage('one', `registry.example/keyforge-proxy@sha256:${'b'.repeat(64)}`);
    assert.equal(await refusalOf(token), 'image_denied');
  },
);

test('tokens for another audience, bound to no Pod, or made up are refused', options, async () => {
  const uid = await createPod('two');
  for (const token of [
    await tokenFor({ name: 'two', uid }, 'https://kubernetes.default.svc'),
    await tokenFor(null),
    'not.a.token',
    `${(await tokenFor({ name: 'two', uid })).slice(0, -8)}AAAAAAAA`,
  ]) {
    assert.equal(await refusalOf(token), 'token_invalid');
  }
});

test('the token of a deleted Pod is refused, though it still reviews as valid', options, async () => {
  const uid = await createPod('three');
  await reportImage('three', digest);
  const token = await tokenFor({ name: 'three', uid });
  assert.equal(await refusalOf(token), 'sidecar');
  await cp.client.request('DELETE', '/api/v1/namespaces/agents/pods/three', { gracePeriodSeconds: 0 });
  assert.equal(typeof (await reviewToken(kube, token)), 'object');
  assert.equal(await refusalOf(token), 'pod_gone');
  await createPod('three');
  assert.equal(await refusalOf(token), 'pod_gone');
});

/** A port with one credential in its state. */
const port = {
  watch(listener) {
    listener({ kind: 'snapshot', revision: 1, keys: [], pools: [], credentials: [{ pool: 'p/openai' as never, name: 'a', value: 'sk' }] });
    return () => {};
  },
} as Pick<ControlPort, 'watch'> as ControlPort;

test('a debug container ends the session of a running proxy, and names the provider key to rotate', options, async (t) => {
  const uid = await createPod('four');
  await reportImage('four', digest);
  const { certificate: cert, key } = await cp.authority.issueServer('operator', ['127.0.0.1']);
  const server = createServer({ cert, key });
  const rotate: string[] = [];
  const refusals: Refused['refusal'][] = [];
  const sessions = serveSessions({
    server,
    path: '/control',
    attestor,
    host: { session: () => port, retire() {} },
    logger,
    monotonic: () => performance.now(),
    events: {
      opened() {},
      closed() {},
      refused: (refusal) => refusals.push(refusal),
      drifted: ({ credentials }) => rotate.push(...credentials),
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connectOperator({
    url: `wss://127.0.0.1:${(server.address() as AddressInfo).port}/control`,
    ca: cp.caPem,
    readToken: () => tokenFor({ name: 'four', uid }),
    logger,
    monotonic: () => performance.now(),
    random: Math.random,
  });
  t.after(async () => {
    session.close();
    await sessions.close();
    server.close();
  });
  const states: number[] = [];
  session.watch((push) => {
    if (push.kind === 'snapshot') states.push(push.credentials.length);
  });
  assert.equal(await session.instance, uid);
  await until('it has its state', async () => states.length > 0);
  const debug = { name: 'debugger', image: 'busybox', targetContainerName: 'keyforge-proxy', terminationMessagePolicy: 'File' };
  const type = 'application/strategic-merge-patch+json';
  const path = '/api/v1/namespaces/agents/pods/four/ephemeralcontainers';
  const { status } = await cp.client.request('PATCH', path, { spec: { ephemeralContainers: [debug] } }, type);
  assert.equal(status, 200);
  sessions.podChanged((await kube.get(pods, { namespace: 'agents', name: 'four' })) as Pod);
  await until('its credentials are taken away', async () => states.at(-1) === 0);
  assert.deepEqual(states, [1, 0]);
  assert.deepEqual(rotate, ['p/openai a']);
  assert.deepEqual([...new Set(refusals)], ['pod_drifted']);
});

test('while the API server is away a proxy is put off, not refused', options, async () => {
  const uid = await createPod('five');
  const token = await tokenFor({ name: 'five', uid });
  await cp.stopApiserver();
  const away = (await attestor.attest(token)) as Refused;
  assert.deepEqual([away.refusal, away.retry], ['api_unavailable', true]);
  await cp.startApiserver();
  assert.equal(await refusalOf(token), 'pod_unready');
});
