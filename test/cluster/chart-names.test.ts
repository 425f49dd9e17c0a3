import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { readOperatorCommand } from '../../cli/options/operator.ts';
import { canRunControlPlane } from './build.ts';
import { fullValues, one, type Release, type Rendered, render } from './chart.fixture.ts';
import { helmBinary } from './helm.ts';

const machine = canRunControlPlane();

interface Naming {
  readonly release: Release;
  readonly values?: object;
  /** What all names begin with. */
  readonly prefix: string;
}

const namings: Readonly<Record<string, Naming>> = {
  'a release of another name, elsewhere': { release: { name: 'acme', namespace: 'platform' }, prefix: 'acme-keyforge' },
  'a release that names the chart': { release: { name: 'keyforge-dev', namespace: 'dev' }, prefix: 'keyforge-dev' },
  nameOverride: { release: { name: 'acme', namespace: 'platform' }, values: { nameOverride: 'vk' }, prefix: 'acme-vk' },
  fullnameOverride: { release: { name: 'acme', namespace: 'platform' }, values: { fullnameOverride: 'vk' }, prefix: 'vk' },
  'names as long as Helm lets them be': {
    release: { name: 'r'.repeat(53), namespace: 'n'.repeat(63) },
    values: { nameOverride: 'v'.repeat(40) },
    prefix: 'r'.repeat(40),
  },
};

describe('the names of the chart’s objects', { skip: machine.ok ? false : machine.why }, () => {
  before(async () => void (await helmBinary()), { timeout: 600_000 });

  for (const [what, { release, values, prefix }] of Object.entries(namings)) {
    test(`agree with one another under ${what}`, async () => {
      const objects = await render({ ...fullValues, ...values }, release);
      assertNamed(objects, release, prefix);
      assertOneOperator(objects, release);
      assertOneGateway(objects, release);
      assertOneWebhook(objects, release);
      assertBound(objects, release);
    });
  }

  test('exempt namespaces are left out by every policy that looks at Pods', async () => {
    const objects = await render({ admissionPolicies: { exemptNamespaces: ['legacy'] } });
    const left = objects.flatMap(({ kind, spec }) =>
      kind === 'ValidatingAdmissionPolicy' ? (spec.matchConstraints.namespaceSelector ?? []) : [],
    );
    const selector = { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'keyforge-system', 'legacy'] };
    assert.deepEqual(left, Array(3).fill({ matchExpressions: [selector] }));
  });

  test('the built-in roles are left alone where rbac.aggregate is off', async () => {
    const roles = async (aggregate: boolean): Promise<readonly string[]> =>
      (await render({ rbac: { aggregate } })).filter(({ kind }) => kind === 'ClusterRole').map(({ metadata }) => metadata.name);
    assert.deepEqual((await roles(true)).toSorted(), ['keyforge-edit', 'keyforge-operator', 'keyforge-view']);
    assert.deepEqual(await roles(false), ['keyforge-operator']);
  });
});

function assertNamed(objects: readonly Rendered[], { name, namespace }: Release, prefix: string): void {
  for (const { kind, metadata } of objects) {
    if (kind === 'CustomResourceDefinition') continue;
    const where = `${kind}/${metadata.name}`;
    assert.ok(metadata.name === prefix || metadata.name.startsWith(`${prefix}-`), where);
    assert.ok(metadata.name.length <= 63, where);
    assert.equal(metadata.labels?.['app.kubernetes.io/instance'], name, where);
    for (const label of Object.values(metadata.labels ?? {})) assert.ok(label.length <= 63, `${where}: ${label}`);
    if (!/^Role/.test(kind)) assert.ok([undefined, namespace].includes(metadata.namespace), where);
  }
}

/** The Service, by whose name proxies and the API server call, is the one of its flags and certificates. */
function assertOneOperator(objects: readonly Rendered[], { namespace }: Release): void {
  const service = one(objects, 'Service', '-operator').metadata.name;
  const { spec } = one(objects, 'Deployment', '-operator')['spec'].template;
  const command = readOperatorCommand(spec.containers[0].args, {});
  assert.ok(!('problems' in command), JSON.stringify(command));
  assert.deepEqual([command.namespace, command.service.name], [namespace, service]);
  assert.equal(spec.serviceAccountName, one(objects, 'ServiceAccount', '-operator').metadata.name);
  assert.equal(spec.volumes[0].persistentVolumeClaim.claimName, one(objects, 'PersistentVolumeClaim', '-operator').metadata.name);
  const certificate = one(objects, 'Certificate', '-operator')['spec'];
  assert.equal(certificate.dnsNames[0], `${service}.${namespace}.svc`);
  const gateway = one(objects, 'Deployment', '-gateway')['spec'].template.spec.containers[0];
  const helmTest = one(objects, 'Pod', '-test')['spec'].containers[0];
  assert.ok(helmTest.args[0].includes(`'${service}.${namespace}.svc'`));
  const roots = [
    spec.volumes[2].secret.secretName,
    gateway.env[1].valueFrom.secretKeyRef.name,
    helmTest.env[0].valueFrom.secretKeyRef.name,
  ];
  assert.deepEqual(roots, Array(3).fill(certificate.secretName));
  const url = `wss://${service}.${namespace}.svc:443/control`;
  assert.equal(gateway.env[0].value, url);
  assert.ok(JSON.stringify(one(objects, 'ValidatingAdmissionPolicy', '-injected-pods')).includes(JSON.stringify(url).slice(1, -1)));
  const [user] = one(objects, 'ValidatingAdmissionPolicy', '-operator-secrets')['spec'].matchConditions;
  assert.ok(user.expression.endsWith(`== "system:serviceaccount:${namespace}:${spec.serviceAccountName}"`), user.expression);
}

function assertOneGateway(objects: readonly Rendered[], { namespace }: Release): void {
  const command = readOperatorCommand(one(objects, 'Deployment', '-operator')['spec'].template.spec.containers[0].args, {});
  assert.ok(!('problems' in command));
  const account = one(objects, 'ServiceAccount', '-gateway').metadata.name;
  assert.equal(command.gatewayServiceAccount, account);
  assert.equal(one(objects, 'Deployment', '-gateway')['spec'].template.spec.serviceAccountName, account);
  assert.equal(command.gatewayUrl, `http://${one(objects, 'Service', '-gateway').metadata.name}.${namespace}.svc`);
}

function assertOneWebhook(objects: readonly Rendered[], { namespace }: Release): void {
  const configuration = one(objects, 'MutatingWebhookConfiguration', '');
  const [{ clientConfig, namespaceSelector }] = configuration['webhooks'];
  assert.equal(clientConfig.service.name, one(objects, 'Service', '-operator').metadata.name);
  assert.equal(clientConfig.service.namespace, namespace);
  assert.deepEqual(namespaceSelector.matchExpressions[0].values, ['kube-system', namespace]);
  const [{ args }] = one(objects, 'Deployment', '-operator')['spec'].template.spec.containers;
  assert.ok(args.includes(`--webhook-configuration=${configuration.metadata.name}`));
  const rules = one(objects, 'ClusterRole', '-operator')['rules'] as readonly { readonly resourceNames?: readonly string[] }[];
  assert.deepEqual(
    rules.flatMap(({ resourceNames }) => resourceNames ?? []),
    [configuration.metadata.name],
  );
}

/** Bindings lead to what there is. */
function assertBound(objects: readonly Rendered[], { namespace }: Release): void {
  const places = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`));
  const account = { kind: 'ServiceAccount', name: one(objects, 'ServiceAccount', '-operator').metadata.name, namespace };
  for (const { kind, metadata, spec, ...object } of objects) {
    if (kind.endsWith('RoleBinding')) {
      assert.ok(places.has(`${object['roleRef'].kind}/${metadata.namespace ?? ''}/${object['roleRef'].name}`), metadata.name);
      assert.deepEqual(object['subjects'], [account]);
    }
    if (kind === 'ValidatingAdmissionPolicyBinding') assert.ok(places.has(`ValidatingAdmissionPolicy//${spec.policyName}`), metadata.name);
  }
}
