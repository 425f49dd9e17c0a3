import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApiAnswer, ApiClient, ApiMethod } from './api-client.ts';
import { canRunControlPlane } from './build.ts';
import { fullValues } from './chart.fixture.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { helmBinary } from './helm.ts';
import { until } from './operator-world.ts';
import { run } from './run.ts';

const machine = canRunControlPlane();
const root = join(import.meta.dirname, '..', '..');
const chart = join(root, 'charts', 'keyforge');
const namespace = 'keyforge-system';
/** Where nothing is built yet. */
const building = { timeout: 600_000 };
const webhook = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/keyforge-injector';

test('the chart on a real API server', { skip: machine.ok ? false : machine.why, timeout: 900_000 }, async (t) => {
  let cluster: ControlPlane;
  let operator: ApiClient;

  const helm = async (verb: string, values?: object): Promise<string> => {
    const file = join(cluster.folder, 'values.json');
    await writeFile(file, JSON.stringify(values ?? {}));
    const args = [verb, 'keyforge', ...(values === undefined ? [] : [chart, '--values', file]), '--namespace', namespace];
    const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, join(cluster.folder, 'helm', name)]);
    return run(await helmBinary(), args, { environment: { ...Object.fromEntries(homes), KUBECONFIG: cluster.adminKubeconfigPath } });
  };
  const get = (path: string): Promise<ApiAnswer> => cluster.client.request('GET', path);
  const podsOf = async (component: string, count: number): Promise<void> => {
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/component%3D${component}`;
    await until(`${count} Pods of the ${component}`, async () => (await get(path)).body.items.length === count);
  };

  const secrets = (inside: string): string => `/api/v1/namespaces/${inside}/secrets`;
  const pools = '/apis/keyforge.dev/v1alpha1/providerpools';

  t.before(async () => {
    [cluster] = await Promise.all([startControlPlane(), helmBinary()]);
    await cluster.createNamespace(namespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });
    await cluster.createNamespace('agents');
    await cluster.createNamespace('pools');
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
    operator = await cluster.clientFor(`system:serviceaccount:${namespace}:keyforge-operator`, groups);
  }, building);
  t.after(async () => {
    await operator?.close();
    await cluster?.close();
  });

  await t.test('installs, and its Pods are let into a namespace that enforces the restricted standard', async () => {
    const notes = await helm('install', {});
    assert.match(notes, /KeyForge \S+ is installed in keyforge-system/);
    assert.match(notes, /proxy\.image\.digest is not set/);
    await podsOf('operator', 1);
    // The API server learns of its own roles, of the cluster and of a namespace, a moment later.
    for (const path of [pools, secrets(namespace)])
      await until('its roles are in force', async () => (await operator.request('GET', path)).status === 200);
  });

  await t.test('accepts the manifests of the quick start at once', async () => {
    for (const name of ['pool', 'key', 'agent']) {
      await cluster.apply(readFileSync(join(root, 'examples', 'kubernetes', `${name}.yaml`), 'utf8'));
    }
  });

  const allowed: Readonly<Record<string, readonly [ApiMethod, string, number, unknown?]>> = {
    'list Secrets of the cluster': ['GET', '/api/v1/secrets', 403],
    'list Secrets of agents': ['GET', secrets('agents'), 403],
    'read one Secret by name': ['GET', `${secrets('agents')}/research-agent`, 404],
    'delete a Secret of agents': ['DELETE', `${secrets('agents')}/research-agent`, 403],
    'list Secrets of its own namespace': ['GET', secrets(namespace), 200],
    'list ProviderPools': ['GET', pools, 200],
    'create a VirtualKey': ['POST', '/apis/keyforge.dev/v1alpha1/namespaces/agents/virtualkeys', 403, {}],
    'create a Pod': ['POST', '/api/v1/namespaces/agents/pods', 403, {}],
    'read ConfigMaps': ['GET', '/api/v1/namespaces/agents/configmaps', 403],
    'read its own webhook configuration': ['GET', webhook, 200],
    'list webhook configurations': ['GET', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', 403],
    'mint tokens of service accounts': ['POST', '/api/v1/namespaces/agents/serviceaccounts/default/token', 403, {}],
  };
  for (const [what, [method, path, wanted, body]] of Object.entries(allowed)) {
    await t.test(`the operator ${wanted === 403 ? 'may not' : 'may'} ${what}`, async () => {
      // A resource that was defined this moment is not in storage yet: 429.
      const status = await until(`an answer to ${method} ${path}`, async () => {
        const answer = await operator.request(method, path, body);
        return answer.status !== 429 && answer.status;
      });
      assert.equal(status, wanted);
    });
  }

  await t.test(
    'an upgrade leaves the certificate that the operator wrote into the webhook, and all that can be switched on is accepted',
    async () => {
      const caBundle = Buffer.from(cluster.caPem).toString('base64');
      const operations = [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: caBundle }];
      const { status } = await operator.request('PATCH', webhook, operations, 'application/json-patch+json');
      assert.equal(status, 200);
      // cert-manager and the Prometheus operator bring kinds that this cluster does not have.
      const monitoring = { dashboards: { enabled: true } };
      await helm('upgrade', { ...fullValues, certificates: {}, monitoring, injector: { timeoutSeconds: 7 } });
      const { body } = await get(webhook);
      assert.equal(body.webhooks[0].timeoutSeconds, 7);
      assert.equal(body.webhooks[0].clientConfig.caBundle, caBundle);
      await podsOf('gateway', 2);
    },
  );

  await t.test('uninstalling leaves keys, and the volume with what was spent and recorded; nothing stands in the way of Pods', async () => {
    await helm('uninstall');
    assert.equal((await get('/apis/keyforge.dev/v1alpha1/namespaces/agents/virtualkeys/research-agent')).status, 200);
    assert.equal((await get(`/api/v1/namespaces/${namespace}/persistentvolumeclaims/keyforge-operator`)).status, 200);
    assert.equal((await get(webhook)).status, 404);
    for (const kind of ['validatingadmissionpolicies', 'validatingadmissionpolicybindings']) {
      const { body } = await get(`/apis/admissionregistration.k8s.io/v1/${kind}`);
      assert.deepEqual(body.items, []);
    }
    const { body } = await get('/apis/rbac.authorization.k8s.io/v1/clusterroles?labelSelector=app.kubernetes.io/part-of%3Dkeyforge');
    assert.deepEqual(body.items, []);
  });

  await t.test('installs again over what was kept', async () => {
    await helm('install', {});
    assert.equal((await get('/apis/keyforge.dev/v1alpha1/namespaces/agents/virtualkeys/research-agent')).status, 200);
  });
});
