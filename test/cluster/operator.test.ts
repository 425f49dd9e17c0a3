import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { keyObject, poolObject, secretObject } from '../../operator/reconcile/bench.fixture.ts';
import { canRunControlPlane } from './build.ts';
import type { ControlPlane } from './control-plane.ts';
import { type OperatorProcess, startOperatorProcess } from './operator-process.ts';
import {
  type Attached,
  agentPod,
  attach,
  figure,
  keyPath,
  onePool,
  proxyDigest,
  quantile,
  read,
  runPod,
  secretPath,
  sendPodsTo,
  startWorld,
  system,
  tokenIn,
  until,
  untilKey,
} from './operator-world.ts';
import { findServicesHere } from './service-lookup.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why, timeout: 300_000 };
/** Of what starts before them: each part of it may take a minute. */
const setup = { timeout: 600_000 };

let cp: ControlPlane;
let folder: string;
let operator: OperatorProcess;
let stopFinding: () => void;
const attached: Attached[] = [];

before(async () => {
  if (!can.ok) return;
  folder = mkdtempSync(join(tmpdir(), 'keyforge-operator-'));
  cp = await startWorld();
  await cp.createNamespace('agents');
  // Before the operator: it looks after the configuration at once, and then each ten seconds.
  await sendPodsTo(cp, 443);
  operator = await start();
  await operator.ready();
  await sendPodsTo(cp, operator.port);
  await until('the webhook trusts the operator', async () => (await webhook()).clientConfig.caBundle !== undefined);
  stopFinding = findServicesHere();
}, setup);

after(async () => {
  for (const { session } of attached) session.close();
  await operator?.stop();
  stopFinding?.();
  await cp?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function start(): Promise<OperatorProcess> {
  const more = ['--proxy-image-digests', proxyDigest];
  return startOperatorProcess({ kubeconfig: cp.adminKubeconfigPath, namespace: system, dataDir: folder, more });
}

async function webhook() {
  const { webhooks } = await read(cp, '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/keyforge-injector');
  return webhooks[0];
}

async function attachPod(namespace: string, name: string, key: string): Promise<Attached> {
  const proxy = await attach(cp, await runPod(cp, namespace, name, key), operator.port);
  attached.push(proxy);
  return proxy;
}

async function eventsOf(namespace: string, name: string): Promise<readonly string[]> {
  const { items } = await read(cp, `/apis/events.k8s.io/v1/namespaces/${namespace}/events`);
  return items
    .filter(({ regarding }: { regarding: { name: string } }) => regarding.name === name)
    .map(({ type, reason }: { type: string; reason: string }) => `${type} ${reason}`);
}

test('a Namespace, a Secret, a pool and a key in one go become a token, a status and conditions', options, async () => {
  await cp.apply(keyObject('agents', 'bot', onePool));
  const { metadata, status } = await untilKey(cp, 'agents', 'bot');
  const conditions = status.conditions.map(
    (each: Record<string, unknown>) => `${each['type']} ${each['status']} ${each['observedGeneration']}`,
  );
  const { generation } = metadata;
  assert.deepEqual(conditions.toSorted(), [`Capped True ${generation}`, `NearLimit False ${generation}`, `Ready True ${generation}`]);
  assert.equal(status.observedGeneration, metadata.generation);
  const { keyHint, secretName, spent, remaining, window, requestsUsed, activeProxies } = status;
  const token = await tokenIn(cp, 'agents', 'bot');
  assert.match(token ?? '', /^vk_/);
  assert.deepEqual(
    { keyHint, secretName, spent, remaining, window, requestsUsed, activeProxies },
    {
      keyHint: `vk_…${token?.slice(-4)}`,
      secretName: 'bot',
      spent: '0.00',
      remaining: '5.00',
      window: 'Day',
      requestsUsed: 0,
      activeProxies: 0,
    },
  );
  const secret = await read(cp, secretPath('agents', 'bot'));
  assert.deepEqual(Object.keys(secret.data).toSorted(), [
    'anthropic-base-url',
    'api-key',
    'gemini-base-url',
    'openai-base-url',
    'policy.json',
  ]);
  assert.equal(secret.metadata.ownerReferences[0].uid, metadata.uid);
  assert.doesNotMatch(JSON.stringify(operator.log()), /sk-real|vk_[A-Za-z0-9]{8}/);
});

test('a key without a dollar cap says so, and an event tells of one that cannot be served until it can', options, async () => {
  await cp.apply(keyObject('agents', 'free', { pools: onePool.pools }));
  const { status } = await untilKey(cp, 'agents', 'free');
  assert.equal(status.conditions.find(({ type }: { type: string }) => type === 'Capped').status, 'False');
  await cp.apply(keyObject('agents', 'orphan', { parentRef: { name: 'team' } }));
  await untilKey(cp, 'agents', 'orphan', 'False ParentNotFound');
  await cp.apply(keyObject('agents', 'team', onePool));
  await untilKey(cp, 'agents', 'orphan');
  await until('both events', async () => (await eventsOf('agents', 'orphan')).length === 2);
  assert.deepEqual((await eventsOf('agents', 'orphan')).toSorted(), ['Normal Served', 'Warning ParentNotFound']);
});

test('a token Secret that is deleted comes back with the same token', options, async () => {
  const token = await tokenIn(cp, 'agents', 'bot');
  await cp.client.request('DELETE', secretPath('agents', 'bot'));
  // Secrets of users are not watched: a change of the key makes the operator look.
  await cp.apply(keyObject('agents', 'bot', { ...onePool, labels: { project: 'atlas' } }));
  await until('the same token', async () => (await tokenIn(cp, 'agents', 'bot')) === token);
});

test('a key and its Deployment that are applied together: the Pods are injected', options, async () => {
  const { metadata, spec } = agentPod('together');
  await Promise.all([
    cp.apply(keyObject('agents', 'together', onePool)),
    cp.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'together', namespace: 'agents' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'together' } },
        template: { metadata: { ...metadata, labels: { ...metadata.labels, app: 'together' } }, spec },
      },
    }),
  ]);
  const pods = await until('two Pods', async () => {
    const { items } = await read(cp, '/api/v1/namespaces/agents/pods?labelSelector=app%3Dtogether');
    return items.length === 2 ? items : undefined;
  });
  for (const pod of pods) {
    assert.equal(pod.spec.initContainers[0].name, 'keyforge-proxy');
    const { env } = pod.spec.containers[0];
    const key = env.find(({ name }: { name: string }) => name === 'OPENAI_API_KEY');
    assert.deepEqual(key.valueFrom.secretKeyRef, { name: 'together', key: 'api-key' });
  }
  await untilKey(cp, 'agents', 'together');
  assert.ok(((await figure(operator.metricsUrl, 'keyforge_operator_injections_total')) ?? 0) > 0);
});

test('a proxy that shows the token of its Pod is served its key and credentials', options, async () => {
  const proxy = await attachPod('agents', 'attested', 'bot');
  const token = await tokenIn(cp, 'agents', 'bot');
  await proxy.served(([key], credentials) => key?.hints.includes(`vk_…${token?.slice(-4)}`) === true && credentials === 1);
  await until('it is counted', async () => (await figure(operator.metricsUrl, 'keyforge_operator_sessions')) === 1);
});

test('within half a minute proxies are counted in the status, and a caBundle that somebody overwrote is mended', options, async () => {
  const { clientConfig } = await webhook();
  const stranger = Buffer.from((await cp.authority.issueServer('x', ['x'])).certificate).toString('base64');
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/keyforge-injector';
  const operation = { op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: stranger };
  await cp.client.request('PATCH', path, [operation], 'application/json-patch+json');
  await until('the roots are back', async () => (await webhook()).clientConfig.caBundle === clientConfig.caBundle, 90_000);
  await until('Pods are injected', async () => {
    const { metadata, spec } = agentPod('bot');
    const body = { metadata: { name: 'probe', ...metadata }, spec };
    return (await cp.client.request('POST', '/api/v1/namespaces/agents/pods?dryRun=All', body)).status === 201;
  });
  await until('it is counted', async () => (await read(cp, keyPath('agents', 'bot'))).status.activeProxies === 1, 90_000);
});

test('a Pod whose proxy runs another image, and one that was edited, are refused', options, async () => {
  const pod = await runPod(cp, 'agents', 'other-image', 'bot');
  const running = { name: 'keyforge-proxy', image: 'x', imageID: `sha256:${'b'.repeat(64)}`, ready: true, restartCount: 0, started: true };
  await cp.client.request('PATCH', '/api/v1/namespaces/agents/pods/other-image/status', { status: { initContainerStatuses: [running] } });
  const { session } = await attach(cp, pod, operator.port);
  attached.push({ session, served: () => Promise.resolve(0) });
  await until('refused', async () => session.state().kind === 'refused');
});

test('a debug container ends the session, and the log names the provider key to rotate', options, async () => {
  const proxy = await attachPod('agents', 'debugged', 'bot');
  await proxy.served((_, credentials) => credentials === 1);
  const debug = { name: 'debugger', image: 'busybox', targetContainerName: 'keyforge-proxy', terminationMessagePolicy: 'File' };
  const path = '/api/v1/namespaces/agents/pods/debugged/ephemeralcontainers';
  await cp.client.request('PATCH', path, { spec: { ephemeralContainers: [debug] } }, 'application/strategic-merge-patch+json');
  await proxy.served((keys, credentials) => keys.length + credentials === 0);
  const told = await until('the log tells it', async () => operator.log().find(({ credentials }) => credentials !== undefined));
  assert.deepEqual(told['credentials'], [`${system}/openai a`]);
});

test('a rotated provider key, a changed limit and a suspension reach the proxy', options, async () => {
  await cp.apply(keyObject('agents', 'pushed', onePool));
  await untilKey(cp, 'agents', 'pushed');
  const proxy = await attachPod('agents', 'pushed', 'pushed');
  await proxy.served((keys) => keys.length === 1);
  await cp.apply(secretObject(system, 'openai', { a: 'sk-real-2', b: 'sk-real-3' }));
  await cp.apply(poolObject({ keys: ['a', 'b'].map((name) => ({ name, secretRef: { name: 'openai', key: name } })) }));
  await proxy.served((_, credentials) => credentials === 2);
  await cp.apply(keyObject('agents', 'pushed', { ...onePool, suspended: true }));
  await untilKey(cp, 'agents', 'pushed', 'False Suspended');
});

test('a key that is deleted and made again at once has another token, and the old one is dead', options, async (t) => {
  await cp.apply(keyObject('agents', 'again', onePool));
  await untilKey(cp, 'agents', 'again');
  const first = await tokenIn(cp, 'agents', 'again');
  const proxy = await attachPod('agents', 'again', 'again');
  await proxy.served((keys) => keys.length === 1);
  const startMs = performance.now();
  await cp.client.request('DELETE', keyPath('agents', 'again'));
  await cp.apply(keyObject('agents', 'again', onePool));
  await untilKey(cp, 'agents', 'again');
  t.diagnostic(`served again after ${Math.round(performance.now() - startMs)} ms`);
  const second = await tokenIn(cp, 'agents', 'again');
  assert.notEqual(second, first);
  await proxy.served(([key]) => key?.hints.join() === `vk_…${second?.slice(-4)}`);
});

test('deleting a key reaches each proxy: revocation', options, async (t) => {
  const keys = Array.from({ length: 10 }, (_, index) => `revoked-${index}`);
  for (const key of keys) await cp.apply(keyObject('agents', key, onePool));
  for (const key of keys) await untilKey(cp, 'agents', key);
  const proxies = new Map<string, readonly Attached[]>();
  for (const key of keys) proxies.set(key, await Promise.all([0, 1, 2, 3, 4, 5].map((n) => attachPod('agents', `${key}-${n}`, key))));
  for (const proxy of [...proxies.values()].flat()) await proxy.served((served) => served.length === 1);
  const took: number[] = [];
  for (const [key, some] of proxies) {
    const startMs = performance.now();
    await cp.client.request('DELETE', keyPath('agents', key));
    const heard = await Promise.all(some.map((proxy) => proxy.served((served) => served.length === 0)));
    took.push(...heard.map((atMs) => atMs - startMs));
  }
  t.diagnostic(
    `${took.length} proxies: p50 ${quantile(took, 0.5).toFixed(0)} ms, p99 ${quantile(took, 0.99).toFixed(0)} ms, most ${Math.max(...took).toFixed(0)} ms`,
  );
});

test('a restart keeps every token and writes nothing to the objects of people', options, async () => {
  const before = await snapshotOfKeys();
  await operator.stop();
  operator = await start();
  await operator.ready();
  await until('it leads', async () => (await figure(operator.metricsUrl, 'keyforge_operator_leader')) === 1);
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const after = await snapshotOfKeys();
  assert.deepEqual(after.secrets, before.secrets);
  // Proxies have gone with the old process: that alone is told.
  assert.deepEqual(after.conditions, before.conditions);
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  assert.deepEqual(await snapshotOfKeys(), after);
});

/** Everything of ours, by resourceVersion. */
async function snapshotOfKeys() {
  const keys = (await read(cp, '/apis/keyforge.dev/v1alpha1/virtualkeys')).items;
  const pools = (await read(cp, '/apis/keyforge.dev/v1alpha1/providerpools')).items;
  const secrets = (await read(cp, '/api/v1/secrets?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dkeyforge')).items;
  type Item = { metadata: { namespace: string; name: string; resourceVersion: string }; status: { conditions: unknown } };
  const place = ({ metadata }: Item) => `${metadata.namespace}/${metadata.name}`;
  const versions = (items: readonly Item[]) => Object.fromEntries(items.map((item) => [place(item), item.metadata.resourceVersion]));
  return {
    keys: versions(keys),
    pools: versions(pools),
    secrets: versions(secrets),
    conditions: Object.fromEntries(keys.map((key: Item) => [place(key), key.status.conditions])),
  };
}

test('with no operator there, a deleted key takes its Secret along', options, async () => {
  await operator.stop();
  await cp.client.request('DELETE', keyPath('agents', 'bot'));
  await until('collected', async () => (await read(cp, secretPath('agents', 'bot'))) === null, 150_000);
});
