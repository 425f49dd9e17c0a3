import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { drift } from '../../operator/inject/compare.ts';
import { reviewAdmission } from '../../operator/inject/review.ts';
import type { Injection, Pod, RenderSettings } from '../../operator/inject/types.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why };

const settings: RenderSettings = {
  image: `registry.example/keyforge-proxy@sha256:${'a'.repeat(64)}`,
  imagePullPolicy: 'IfNotPresent',
  controlUrl: 'wss://keyforge-operator.keyforge-system.svc:443/control',
  rootCertificate: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  resources: { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '192Mi' } },
};

let cp: ControlPlane;
let server: Server;
const outcomes: { readonly pod: string; readonly injection: Injection }[] = [];

before(async () => {
  if (!can.ok) return;
  cp = await startControlPlane();
  const identity = await cp.authority.issueServer('webhooks', ['127.0.0.1']);
  // Longer than the API server keeps an idle connection: it must not write to one that ends here this moment.
  const keepAliveTimeout = 120_000;
  server = createServer({ cert: identity.certificate, key: identity.key, keepAliveTimeout }, async (request, response) => {
    const chunks: Buffer[] = await request.toArray();
    const review = JSON.parse(Buffer.concat(chunks).toString());
    // The API server adds `?timeout=10s`.
    const { pathname } = new URL(request.url ?? '', 'https://127.0.0.1');
    const answer = pathname === '/inject' ? await ours(review) : foreign(review, pathname);
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Called in the order of their names. Ours is registered last: where it is in force, so are the others.
  await register('a-mesh', '/front', { mesh: 'true' });
  await register('z-rude', '/rude', { rude: 'true' });
  await register('m-keyforge', '/inject', {});
});

after(async () => {
  server?.close().closeAllConnections();
  await cp?.close();
});

function ours(review: unknown): ReturnType<typeof reviewAdmission> {
  return reviewAdmission(review, {
    findKey: async (_, name) => (name === 'research-agent' ? { secretName: 'research-agent', sidecar: true } : null),
    settings: () => settings,
    kubernetes: { minor: 37 },
    onOutcome: (namespace, name, injection) => outcomes.push({ pod: `${namespace}/${name}`, injection }),
  });
}

interface PodSpec {
  readonly containers: readonly Readonly<Record<string, unknown>>[];
  readonly initContainers?: readonly Readonly<Record<string, unknown>>[];
  readonly volumes?: readonly unknown[];
}

/** What other people's webhooks do: overwrite whole lists, put themselves first, drop the fields that their types do not have. */
function foreign(review: { request: { uid: string; object: { spec: PodSpec } } }, path: string): { status: number; body: unknown } {
  const { spec } = review.request.object;
  const init = spec.initContainers ?? [];
  const mesh = { name: 'mesh', image: 'mesh', restartPolicy: 'Always', securityContext: restricted };
  const first = init.some(({ name }) => name === 'mesh') ? init : [mesh, ...init];
  const stripped = init.toReversed().map(({ restartPolicy: _, startupProbe: __, ...rest }) => ({
    ...rest,
    env: [...((rest['env'] as readonly unknown[] | undefined) ?? []), { name: 'RUDE', value: 'x' }],
  }));
  const late = spec.containers.some(({ name }) => name === 'late') ? [] : [{ name: 'late', image: 'late', securityContext: restricted }];
  const patch =
    path === '/front'
      ? [{ op: 'add', path: '/spec/initContainers', value: first }]
      : [
          { op: 'add', path: '/spec/initContainers', value: stripped },
          { op: 'add', path: '/spec/containers', value: [...late, ...spec.containers] },
        ];
  return {
    status: 200,
    body: {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid: review.request.uid,
        allowed: true,
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      },
    },
  };
}

async function register(name: string, path: string, namespaceLabels: Readonly<Record<string, string>>): Promise<void> {
  const { port } = server.address() as AddressInfo;
  await cp.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        // Only ours asks to be called again where a later one changed the Pod.
        reinvocationPolicy: path === '/inject' ? 'IfNeeded' : 'Never',
        clientConfig: { url: `https://127.0.0.1:${port}${path}`, caBundle: Buffer.from(cp.caPem).toString('base64') },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: namespaceLabels },
      },
    ],
  });
}

const restricted = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  runAsUser: 1000,
  seccompProfile: { type: 'RuntimeDefault' },
};

const template = {
  metadata: { labels: { app: 'agent', 'keyforge.dev/inject': 'true' }, annotations: { 'keyforge.dev/virtual-key': 'research-agent' } },
  spec: { containers: [{ name: 'agent', image: 'agent', securityContext: restricted }] },
};

function pod(name: string, spec: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, ...template.metadata }, spec: { ...template.spec, ...spec } };
}

async function create(namespace: string, body: unknown, query = ''): Promise<{ status: number; body: Pod & { message?: string } }> {
  return cp.client.request('POST', `/api/v1/namespaces/${namespace}/pods${query}`, body);
}

/** The first Pod of a namespace; made by a controller. */
async function firstPod(namespace: string): Promise<Pod> {
  for (let tries = 0; tries < 1200; tries++, await pause(50)) {
    const { body } = await cp.client.request('GET', `/api/v1/namespaces/${namespace}/pods`);
    if (body.items?.length > 0) return body.items[0];
  }
  throw new Error(`no pod appeared in ${namespace} within a minute`);
}

function spec(of: Pod): PodSpec {
  return of['spec'] as PodSpec;
}

/** Until the configuration is in force: the API server's informer lags behind by some milliseconds. */
async function webhooksInForce(namespace: string): Promise<void> {
  let said: unknown;
  for (let tries = 0; tries < 2400; tries++, await pause(25)) {
    const { body } = await create(namespace, pod('probe'), '?dryRun=All');
    if ((spec(body)?.initContainers ?? []).some(({ name }) => name === 'keyforge-proxy')) return;
    said = body.message ?? body;
  }
  throw new Error(`the webhook was not called within a minute: ${JSON.stringify(said)}`);
}

async function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
  await cp.createNamespace(name, { 'pod-security.kubernetes.io/enforce': 'restricted', ...labels });
  await webhooksInForce(name);
  return name;
}

test('a bare Pod comes back exactly as rendered, under restricted Pod Security, with no API token in the proxy', options, async () => {
  const ns = await namespace('inject-bare');
  const { status, body } = await create(ns, pod('agent'));
  assert.equal(status, 201, String(body.message));
  assert.deepEqual(drift(body, settings), []);
  const [proxy] = spec(body).initContainers ?? [];
  assert.equal(proxy?.['name'], 'keyforge-proxy');
  const mounts = proxy?.['volumeMounts'] as readonly { name: string }[];
  assert.deepEqual(
    mounts.map(({ name }) => name),
    ['keyforge-token', 'keyforge-data'],
  );
});

test('a dry run is answered in full and leaves no outcome', options, async () => {
  const ns = await namespace('inject-dry-run');
  const { body } = await create(ns, pod('dry'), '?dryRun=All');
  assert.deepEqual(drift(body, settings), []);
  assert.ok(!outcomes.some((each) => each.pod === `${ns}/dry`));
});

for (const [kind, apiVersion, body] of [
  ['Deployment', 'apps/v1', { replicas: 1, selector: { matchLabels: { app: 'agent' } }, template }],
  ['Job', 'batch/v1', { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } }],
  [
    'CronJob',
    'batch/v1',
    { schedule: '@every 1s', jobTemplate: { spec: { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } } } },
  ],
] as const) {
  test(`the Pod of a ${kind} is injected without drift`, options, async (t) => {
    const ns = await namespace(`inject-${kind.toLowerCase()}`);
    await cp.apply({ apiVersion, kind, metadata: { name: 'agent', namespace: ns }, spec: body });
    // A CronJob would go on to make a Job a second.
    t.after(() => cp.client.request('DELETE', `/apis/${apiVersion}/namespaces/${ns}/${kind.toLowerCase()}s/agent`));
    assert.deepEqual(drift(await firstPod(ns), settings), []);
  });
}

test('a LimitRange that fills in and bounds resources is no drift', options, async () => {
  const ns = await namespace('inject-limits');
  await cp.apply({
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'defaults', namespace: ns },
    spec: { limits: [{ type: 'Container', default: { cpu: '1', memory: '1Gi' }, defaultRequest: { cpu: '100m' } }] },
  });
  const isFilledIn = async (): Promise<boolean> => {
    const { body } = await create(ns, pod('probe'), '?dryRun=All');
    return spec(body).containers.some(({ resources }) => JSON.stringify(resources).includes('"memory":"1Gi"'));
  };
  for (let tries = 0; !(await isFilledIn()); tries++, await pause(50)) assert.ok(tries < 1200, 'the LimitRange is not in force');
  const { status, body } = await create(ns, pod('agent'));
  assert.equal(status, 201, String(body.message));
  assert.deepEqual(drift(body, settings), []);
});

test(
  'webhooks before and after that reorder, strip and overwrite leave our part as rendered, and their own in place',
  options,
  async () => {
    const ns = await namespace('inject-foreign', { mesh: 'true', rude: 'true' });
    const { status, body } = await create(
      ns,
      pod('agent', { initContainers: [{ name: 'migrate', image: 'm', securityContext: restricted }] }),
    );
    assert.equal(status, 201, String(body.message));
    assert.deepEqual(drift(body, settings), []);
    const names = (of: readonly Readonly<Record<string, unknown>>[] | undefined) => (of ?? []).map(({ name }) => name);
    assert.deepEqual(names(spec(body).initContainers).toSorted(), ['keyforge-proxy', 'mesh', 'migrate']);
    assert.deepEqual(names(spec(body).containers), ['late', 'agent']);
    const calls = outcomes.filter((each) => each.pod === `${ns}/agent`);
    assert.deepEqual(
      calls.map(({ injection }) => injection.kind),
      ['patch', 'patch'],
    );
    for (const container of spec(body).containers) assert.match(JSON.stringify(container['env']), /OPENAI_API_KEY/);
  },
);

test('what cannot be injected safely is refused with its reason, in the Pod’s answer and in its Deployment’s status', options, async () => {
  const ns = await namespace('inject-refused', { 'pod-security.kubernetes.io/enforce': 'privileged' });
  for (const [reason, change] of [
    ['HostNetwork', { hostNetwork: true }],
    ['HostPID', { hostPID: true }],
    ['SharedProcessNamespace', { shareProcessNamespace: true }],
    ['HostAliases', { hostAliases: [{ ip: '10.0.0.1', hostnames: ['api.openai.com'] }] }],
    ['Windows', { os: { name: 'windows' }, containers: [{ name: 'agent', image: 'agent' }] }],
    ['RawProviderKey', { containers: [{ name: 'a', image: 'a', env: [{ name: 'K', value: 'sk-proj-0123456789abcdefghijklmnop' }] }] }],
    ['ForeignProxyContainer', { initContainers: [{ name: 'keyforge-proxy', image: settings.image, command: ['sh'] }] }],
  ] as const) {
    const { status, body } = await create(ns, pod(reason.toLowerCase(), change));
    assert.equal(status, 403, reason);
    assert.match(body.message ?? '', new RegExp(`denied the request: ${reason}: `));
  }
  const refused = { ...template, spec: { ...template.spec, hostNetwork: true } };
  await cp.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'agent', namespace: ns },
    spec: { replicas: 1, selector: { matchLabels: { app: 'agent' } }, template: refused },
  });
  await untilDeploymentSays(ns, /HostNetwork: /);
});

async function untilDeploymentSays(ns: string, words: RegExp): Promise<void> {
  let conditions: readonly { message?: string }[] = [];
  for (let tries = 0; tries < 1200; tries++, await pause(50)) {
    const { body } = await cp.client.request('GET', `/apis/apps/v1/namespaces/${ns}/deployments/agent`);
    conditions = body.status?.conditions ?? [];
    if (conditions.some(({ message }) => words.test(message ?? ''))) return;
  }
  assert.fail(JSON.stringify(conditions));
}

test('a Pod that did not opt in is let through as it is', options, async () => {
  const ns = await namespace('inject-plain');
  const { body } = await create(ns, { ...pod('web'), metadata: { name: 'web' } });
  assert.equal(spec(body).initContainers, undefined);
});

test('what may change on a live Pod is seen as drift: the image, and a debug container', options, async () => {
  const ns = await namespace('inject-drift');
  await create(ns, pod('agent'));
  const path = `/api/v1/namespaces/${ns}/pods/agent`;
  const swapped = await cp.client.request(
    'PATCH',
    path,
    { spec: { initContainers: [{ name: 'keyforge-proxy', image: 'evil' }] } },
    'application/strategic-merge-patch+json',
  );
  assert.equal(swapped.status, 200, swapped.body.message);
  assert.deepEqual(drift(swapped.body, settings), ['/spec/initContainers/0/image']);
  const debugged = await cp.client.request(
    'PATCH',
    `${path}/ephemeralcontainers`,
    { spec: { ephemeralContainers: [{ name: 'debug', image: 'x', targetContainerName: 'keyforge-proxy', securityContext: restricted }] } },
    'application/strategic-merge-patch+json',
  );
  assert.equal(debugged.status, 200, debugged.body.message);
  assert.ok(drift(debugged.body, settings).includes('/spec/ephemeralContainers/0'));
});
