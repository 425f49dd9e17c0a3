import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { connectKube } from '../../operator/kube/client.ts';
import { mutatingWebhooks, secrets } from '../../operator/kube/resources.ts';
import type { KubeClient, KubeObject } from '../../operator/kube/types.ts';
import { keyObject } from '../../operator/reconcile/bench.fixture.ts';
import { openAuthority } from '../../operator/trust/authority.ts';
import { dayMs, issueLeaf, issueRoot, type Root, rootLifeMs } from '../../operator/trust/issue.ts';
import { bundlePatch, keepCertificate } from '../../operator/trust/publish.ts';
import { overlapMs } from '../../operator/trust/roots.ts';
import type { Authority } from '../../operator/trust/types.ts';
import { canRunControlPlane } from './build.ts';
import type { ControlPlane } from './control-plane.ts';
import { startOperatorProcess } from './operator-process.ts';
import { attach, onePool, proxyDigest, runPod, sendPodsTo, startWorld, system, until, untilKey } from './operator-world.ts';
import { findServicesHere } from './service-lookup.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why };
const logger = pino({ level: 'silent' });
const service = 'keyforge-operator';
const webhookName = 'keyforge-certificates-test';
/** Where nothing is built yet. */
const building = { timeout: 600_000 };
let cp: ControlPlane;
let client: KubeClient;

before(async () => {
  if (!can.ok) return;
  cp = await startWorld();
  client = connectKube({ kubeconfig: cp.adminKubeconfigPath, logger });
}, building);

after(async () => {
  await client?.close();
  await cp?.close();
});

interface Replica {
  readonly clock: { nowMs: number };
  readonly authority: Authority;
}

async function replica(namespace: string, nowMs: number = Date.now()): Promise<Replica> {
  const clock = { nowMs };
  const dnsNames = [`${service}.${namespace}.svc`];
  return { clock, authority: await openAuthority({ client, namespace, dnsNames, clock: () => clock.nowMs, logger }) };
}

async function version(namespace: string): Promise<string | undefined> {
  return (await client.get(secrets, { namespace, name: 'keyforge-certificates' }))?.metadata.resourceVersion;
}

test(
  'five replicas that start at once in a real cluster share one root, through its succession and a deleted Secret',
  options,
  async () => {
    const namespace = 'certificates-replicas';
    await cp.createNamespace(namespace);
    const replicas = await Promise.all(Array.from({ length: 5 }, () => replica(namespace)));
    const roots = () => new Set(replicas.map(({ authority }) => authority.rootPem()));
    assert.equal(roots().size, 1);
    const first = await version(namespace);
    const [old = ''] = roots();

    for (const { clock } of replicas) clock.nowMs += rootLifeMs - overlapMs + dayMs;
    await Promise.all(replicas.map(({ authority }) => authority.check()));
    assert.equal(roots().size, 1);
    const [both = ''] = roots();
    assert.ok(both.startsWith(old) && both.length > old.length);
    const second = await version(namespace);
    assert.notEqual(second, first);

    await Promise.all(replicas.map(({ authority }) => authority.check()));
    assert.equal(await version(namespace), second, 'at rest nothing is written');

    await client.remove(secrets, { namespace, name: 'keyforge-certificates' });
    await Promise.all(replicas.map(({ authority }) => authority.check()));
    assert.deepEqual([...roots()], [both]);
    for (const { authority } of replicas) authority.close();
  },
);

/** A webhook that allows everything, behind a Service that the API server resolves to loopback. */
async function webhook(namespace: string, authority: Authority): Promise<Server> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { uid } = (JSON.parse(body) as { request: { uid: string } }).request;
      response.setHeader('connection', 'close').setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } }));
    });
  });
  keepCertificate(server, authority);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await cp.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: service, namespace },
    spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
  });
  await cp.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: webhookName },
    webhooks: [
      {
        name: 'configmaps.keyforge.dev',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        timeoutSeconds: 5,
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
        clientConfig: { service: { name: service, namespace, path: '/inject', port } },
      },
    ],
  });
  return server;
}

/** Creates a ConfigMap (dry run) until the answer is as wanted: the API server learns of a changed webhook after a moment. */
async function answered(namespace: string, wanted: (status: number, message: string) => boolean): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const { status, body } = await cp.client.request('POST', `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`, {
      metadata: { generateName: 'probe-' },
    });
    if (wanted(status, String((body as { message?: string }).message))) return;
    if (tries === 600) assert.fail(`still ${status}: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function allowed(namespace: string): Promise<void> {
  return answered(namespace, (status) => status === 201);
}

function refused(namespace: string, why: RegExp): Promise<void> {
  return answered(namespace, (status, message) => status === 500 && why.test(message));
}

async function trust(pem: string): Promise<number> {
  const configuration = (await client.get(mutatingWebhooks, { name: webhookName })) as KubeObject;
  const patch = bundlePatch(configuration, pem);
  if (patch.length > 0) await client.patch(mutatingWebhooks, { name: webhookName }, patch);
  return patch.length;
}

test('the API server accepts a renewed leaf without a restart, and below the old root, the new one and both', options, async (t) => {
  const namespace = 'certificates-webhook';
  await cp.createNamespace(namespace);
  const untilOverlapMs = 60_000;
  const startMs = Date.now();
  const { authority, clock } = await replica(namespace, startMs - rootLifeMs + overlapMs + untilOverlapMs);
  t.after(() => authority.close());
  const server = await webhook(namespace, authority);
  t.after(() => server.close());
  const old = authority.rootPem();
  await trust(old);
  await refused(namespace, /certificate has expired/);
  clock.nowMs = startMs;
  await authority.check();
  assert.equal(authority.rootPem(), old);
  await allowed(namespace);

  clock.nowMs += 2 * untilOverlapMs;
  await authority.check();
  const both = authority.rootPem();
  const stranger = (await issueRoot(Date.now())).certPem;
  for (const pem of [old, both, both.slice(old.length)]) {
    await trust(stranger);
    await refused(namespace, /certificate signed by unknown authority/);
    assert.equal(await trust(pem), 2);
    await allowed(namespace);
    assert.equal(await trust(pem), 0, 'at rest nothing is written');
  }
});

/** What cert-manager would put into the operator's folder: a new certificate under `root`, and the roots to trust. Its serial number. */
async function renew(folder: string, root: Root, roots: string): Promise<string> {
  const host = `${service}.${system}.svc`;
  const { certPem, keyPem, serial } = await issueLeaf([host, `${host}.cluster.local`], root, '', Date.now());
  for (const [name, text] of Object.entries({ 'tls.key': keyPem, 'tls.crt': certPem, 'ca.crt': roots }))
    await writeFile(join(folder, name), text);
  return serial;
}

test('webhook, caBundle and sessions work under certificates that somebody else renews, and go on as they do', options, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keyforge-certificates-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const root = await issueRoot(Date.now());
  await renew(folder, root, root.certPem);
  await sendPodsTo(cp, 443);
  const more = ['--certificate-dir', folder, '--proxy-image-digests', proxyDigest];
  const operator = await startOperatorProcess({ kubeconfig: cp.adminKubeconfigPath, namespace: system, more });
  t.after(() => operator.stop());
  await operator.ready();
  await sendPodsTo(cp, operator.port);
  t.after(findServicesHere());
  const namespace = 'certificates-outside';
  await cp.createNamespace(namespace);
  await cp.apply(keyObject(namespace, 'bot', onePool));
  await untilKey(cp, namespace, 'bot');
  const bundle = async (): Promise<string> => {
    const { webhooks } = (await client.get(mutatingWebhooks, { name: 'keyforge-injector' })) as KubeObject & {
      readonly webhooks: readonly [{ readonly clientConfig: { readonly caBundle?: string } }];
    };
    return Buffer.from(webhooks[0].clientConfig.caBundle ?? '', 'base64').toString();
  };
  /** A new Pod is injected, trusts these roots, and its proxy is served. */
  const works = async (name: string, roots: string) => {
    await until('the webhook trusts the roots', async () => (await bundle()) === roots);
    // The API server learns of that a moment later.
    const pod = await until('a Pod is injected', () => runPod(cp, namespace, name, 'bot'));
    assert.equal(pod.ca, roots);
    const { session, served } = await attach(cp, pod, operator.port);
    t.after(() => session.close());
    await served((keys) => keys.length === 1);
    return pod;
  };
  const first = await works('first', root.certPem);

  const other = await issueRoot(Date.now());
  const serial = await renew(folder, root, root.certPem + other.certPem);
  await until('the new certificate is read', async () => operator.log().some((line) => line['serial'] === serial));
  await works('second', root.certPem + other.certPem);
  const again = await attach(cp, first, operator.port);
  t.after(() => again.session.close());
  await again.served((keys) => keys.length === 1);
  assert.equal(await version(system), undefined, 'it makes none of its own');
});
