import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { readOperatorCommand } from '../../cli/options/operator.ts';
import { readProxyCommand } from '../../cli/options/proxy.ts';
import {
  agentPort,
  controlAudience,
  dataMountPath,
  injectLabel,
  metricsPort,
  proxyContainer,
  proxyUserId,
  tokenMountPath,
} from '../../operator/inject/names.ts';
import { packageVersion } from '../../scripts/images/files.ts';
import { canRunControlPlane } from './build.ts';
import { chartFolder, fullValues, one, type Rendered, releaseNamespace, render } from './chart.fixture.ts';
import { helmBinary } from './helm.ts';
import { run } from './run.ts';

const root = join(import.meta.dirname, '..', '..');
const machine = canRunControlPlane();
/** Where Helm is not built yet. */
const building = { timeout: 600_000 };
const valuesText = readFileSync(join(chartFolder, 'values.yaml'), 'utf8');

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly $ref?: string;
}

describe('the chart', { skip: machine.ok ? false : machine.why }, () => {
  let plain: readonly Rendered[];
  let full: readonly Rendered[];

  before(async () => {
    await helmBinary();
    [plain, full] = await Promise.all([render(), render(fullValues)]);
  }, building);

  test('passes helm lint', async () => {
    await run(await helmBinary(), ['lint', '--strict', chartFolder]);
  });

  test('is of the version that package.json names, and so are the images that it asks for', () => {
    const { version, appVersion } = parse(readFileSync(join(chartFolder, 'Chart.yaml'), 'utf8')) as Readonly<Record<string, string>>;
    assert.deepEqual([version, appVersion], [packageVersion(), packageVersion()]);
    const [operator] = one(plain, 'Deployment', 'keyforge-operator')['spec'].template.spec.containers;
    assert.equal(operator.image, `keyforge.dev/keyforge-operator:${packageVersion()}`);
  });

  test('installs these objects by default', () => {
    assert.deepEqual(names(plain).sort(), [
      'ClusterRole/keyforge-edit',
      'ClusterRole/keyforge-operator',
      'ClusterRole/keyforge-view',
      'ClusterRoleBinding/keyforge-operator',
      'CustomResourceDefinition/providerpools.keyforge.dev',
      'CustomResourceDefinition/virtualkeys.keyforge.dev',
      'Deployment/keyforge-operator',
      'MutatingWebhookConfiguration/keyforge-injector',
      'NetworkPolicy/keyforge-operator',
      'PersistentVolumeClaim/keyforge-operator',
      'Pod/keyforge-test',
      'PodDisruptionBudget/keyforge-operator',
      'Role/keyforge-operator',
      'Role/keyforge-operator-pools',
      'RoleBinding/keyforge-operator',
      'RoleBinding/keyforge-operator-pools',
      'Service/keyforge-operator',
      'ServiceAccount/keyforge-operator',
    ]);
  });

  test('everything is labelled, named once, and in the release namespace where it is namespaced', () => {
    for (const object of full) {
      assert.equal(object.metadata.labels?.['app.kubernetes.io/instance'], 'keyforge', nameOf(object));
      assert.equal(object.metadata.labels?.['team'], 'platform', nameOf(object));
      if (object.metadata.namespace === 'pools') assert.match(object.kind, /^Role(Binding)?$/);
      else if (object.metadata.namespace !== undefined) assert.equal(object.metadata.namespace, releaseNamespace);
    }
    const places = full.map((object) => `${object.metadata.namespace ?? ''}/${nameOf(object)}`);
    assert.equal(new Set(places).size, places.length);
  });

  test('custom resource definitions are those of crds/, to the letter, and are kept', () => {
    const files = readdirSync(join(root, 'crds')).sort();
    assert.deepEqual(readdirSync(join(chartFolder, 'files', 'crds')).sort(), files, 'node scripts/chart.ts brings them up to date');
    for (const file of files) {
      const source = readFileSync(join(root, 'crds', file), 'utf8');
      assert.equal(
        readFileSync(join(chartFolder, 'files', 'crds', file), 'utf8'),
        source,
        `node scripts/chart.ts brings ${file} up to date`,
      );
      const wanted = parse(source) as Rendered;
      const found = one(plain, 'CustomResourceDefinition', wanted.metadata.name);
      assert.deepEqual(found['spec'], wanted['spec']);
      assert.equal(found.metadata.annotations?.['helm.sh/resource-policy'], 'keep');
    }
  });

  test('custom resource definitions can be left out, and left to helm uninstall', async () => {
    const without = await render({ crds: { enabled: false } });
    assert.deepEqual(
      without.filter(({ kind }) => kind === 'CustomResourceDefinition'),
      [],
    );
    const removable = await render({ crds: { keep: false } });
    const crd = one(removable, 'CustomResourceDefinition', 'virtualkeys.keyforge.dev');
    assert.equal(crd.metadata.annotations, undefined);
  });

  for (const [what, values] of Object.entries<object>({
    'a name that is not in values.yaml': { operator: { replica: 1 } },
    'a misspelt section': { gatway: { enabled: true } },
    'two replicas over SQLite': { operator: { replicas: 2 } },
    'an empty selector of namespaces': { injector: { namespaceSelector: {} } },
    'a selector without labels': { injector: { namespaceSelector: { matchLabels: {} } } },
    'a peer that means everybody': { networkPolicy: { gatewayFrom: [{}] } },
    'no port of providers, which would mean every port': { networkPolicy: { providerPorts: [] } },
    'a peer with an empty selector': { networkPolicy: { metricsFrom: [{ namespaceSelector: {} }] } },
    'a tag where a digest belongs': { proxy: { image: { digest: 'latest' } } },
    'a digest cut short': { proxy: { allowedDigests: ['sha256:abc'] } },
    'a failure policy that does not exist': { injector: { failurePolicy: 'Maybe' } },
    'no validation action': { admissionPolicies: { validationActions: [] } },
    'a volume shared by nodes': { operator: { persistence: { accessMode: 'ReadWriteMany' } } },
  })) {
    test(`refuses ${what}`, async () => {
      await assert.rejects(render(values), /values don't meet the specifications of the schema/);
    });
  }

  test('every value of the schema is in values.yaml, with its default, and no other', () => {
    const values = parse(valuesText) as Readonly<Record<string, unknown>>;
    const known = new Set(valuePaths());
    const inValues = (at: unknown, path: string): readonly string[] => {
      if (known.has(path) || typeof at !== 'object' || at === null) return [path];
      return Object.entries(at).flatMap(([name, inner]) => inValues(inner, path === '' ? name : `${path}.${name}`));
    };
    assert.deepEqual(inValues(values, '').toSorted(), [...known].toSorted());
  });

  test('every value has a comment of its own in values.yaml', () => {
    const known = new Set(valuePaths());
    const lines = valuesText.split('\n');
    const place: string[] = [];
    const silent = lines.flatMap((line, index) => {
      const [, indent = '', name] = /^( *)(\w+):/.exec(line) ?? [];
      if (name === undefined) return [];
      place.splice(indent.length / 2, place.length, name);
      const path = place.join('.');
      return known.delete(path) && !/^ *# -- \S/.test(lines[index - 1] ?? '') ? [path] : [];
    });
    assert.deepEqual(silent, []);
    assert.deepEqual([...known], []);
  });

  test('the operator may touch Secrets by name only, and enumerate them in its own and the pools’ namespaces', () => {
    const cluster = one(full, 'ClusterRole', 'keyforge-operator')['rules'] as readonly Rule[];
    assert.deepEqual(verbsOn(cluster, 'secrets'), ['create', 'get', 'patch']);
    for (const object of full.filter(({ kind }) => kind === 'Role')) {
      assert.ok([releaseNamespace, 'pools'].includes(object.metadata.namespace ?? ''), nameOf(object));
    }
    const pools = full.find(({ kind, metadata }) => kind === 'Role' && metadata.namespace === 'pools');
    assert.deepEqual(verbsOn(pools?.['rules'], 'secrets'), ['list', 'watch']);
  });

  test('no role has a wildcard, and only the operator is bound to one', () => {
    for (const role of full.filter(({ kind }) => /Role$/.test(kind))) {
      for (const rule of role['rules'] as readonly Rule[]) {
        assert.ok(![...rule.apiGroups, ...rule.resources, ...rule.verbs].includes('*'), nameOf(role));
      }
    }
    for (const binding of full.filter(({ kind }) => kind.endsWith('RoleBinding')))
      assert.deepEqual(binding['subjects'], [{ kind: 'ServiceAccount', name: 'keyforge-operator', namespace: releaseNamespace }]);
  });

  test('the operator may change one webhook configuration, its own', () => {
    const rule = (one(full, 'ClusterRole', 'keyforge-operator')['rules'] as readonly Rule[]).find(({ resources }) =>
      resources.includes('mutatingwebhookconfigurations'),
    );
    assert.deepEqual(rule?.resourceNames, ['keyforge-injector']);
  });

  test('every Pod meets the restricted Pod Security standard, with a read-only root and bounded memory', () => {
    const specs = full.flatMap((object) => podSpecs(object).map((spec) => ({ spec, name: nameOf(object) })));
    assert.equal(specs.length, 3);
    for (const { spec, name } of specs) {
      assert.equal(spec.securityContext.runAsNonRoot, true, name);
      assert.equal(spec.securityContext.seccompProfile.type, 'RuntimeDefault', name);
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace']) assert.equal(spec[field], undefined, name);
      for (const container of spec.containers) {
        assert.equal(container.securityContext.allowPrivilegeEscalation, false, name);
        assert.equal(container.securityContext.readOnlyRootFilesystem, true, name);
        assert.deepEqual(container.securityContext.capabilities, { drop: ['ALL'] }, name);
        assert.ok(container.resources.limits.memory, name);
        assert.ok(container.resources.requests.cpu, name);
      }
    }
  });

  test('the webhook sees opted-in Pods only, never those of kube-system or of the operator, whatever the values say', () => {
    for (const objects of [plain, full]) {
      const [webhook, ...others] = one(objects, 'MutatingWebhookConfiguration', 'keyforge-injector')['webhooks'];
      assert.deepEqual(others, []);
      assert.deepEqual(webhook.objectSelector, { matchLabels: { [injectLabel]: 'true' } });
      assert.deepEqual(webhook.namespaceSelector.matchExpressions[0], {
        key: 'kubernetes.io/metadata.name',
        operator: 'NotIn',
        values: ['kube-system', releaseNamespace],
      });
      assert.equal(webhook.failurePolicy, 'Ignore');
      assert.equal(webhook.reinvocationPolicy, 'IfNeeded');
      assert.equal(webhook.clientConfig.caBundle, undefined, 'an upgrade would wipe what the operator wrote');
    }
  });

  test('one operator at a time on a volume that outlives the release', () => {
    const deployment = one(plain, 'Deployment', 'keyforge-operator');
    assert.equal(deployment['spec'].replicas, 1);
    assert.deepEqual(deployment['spec'].strategy, { type: 'Recreate' });
    const claim = one(plain, 'PersistentVolumeClaim', 'keyforge-operator');
    assert.equal(claim.metadata.annotations?.['helm.sh/resource-policy'], 'keep');
    const volumes = deployment['spec'].template.spec.volumes as readonly Readonly<Record<string, unknown>>[];
    assert.deepEqual(volumes[0], { name: 'data', persistentVolumeClaim: { claimName: 'keyforge-operator' } });
  });

  test('service accounts carry what a cloud or a policy wants to see on them', () => {
    assert.deepEqual(one(full, 'ServiceAccount', 'keyforge-operator').metadata.annotations, { cloud: 'operator' });
    assert.deepEqual(one(full, 'ServiceAccount', 'keyforge-gateway').metadata.annotations, { cloud: 'gateway' });
    assert.equal(one(plain, 'ServiceAccount', 'keyforge-operator').metadata.annotations, undefined);
  });

  test('the Pod of helm test goes where the operator may', () => {
    const { nodeSelector, tolerations } = one(full, 'Deployment', 'keyforge-operator')['spec'].template.spec;
    const { spec } = one(full, 'Pod', 'keyforge-test');
    assert.deepEqual([spec.nodeSelector, spec.tolerations], [nodeSelector, tolerations]);
    assert.deepEqual(tolerations, [{ operator: 'Exists' }]);
  });

  test('the gateway’s Pods are spread over nodes, unless the values place them', async () => {
    const spread = async (gateway: object): Promise<readonly Rendered[]> =>
      one(await render({ gateway: { enabled: true, ...gateway } }), 'Deployment', 'keyforge-gateway')['spec'].template.spec
        .topologySpreadConstraints;
    const [byNode, ...others] = await spread({});
    assert.deepEqual(others, []);
    assert.equal(byNode?.['topologyKey'], 'kubernetes.io/hostname');
    assertSelects(byNode?.['labelSelector'].matchLabels, one(full, 'Deployment', 'keyforge-gateway'));
    assert.equal(await spread({ affinity: { podAntiAffinity: {} } }), undefined);
    const zone = { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' };
    const labelSelector = { matchLabels: { app: 'x' } };
    assert.deepEqual(await spread({ topologySpreadConstraints: [zone, { ...zone, labelSelector }] }), [
      { ...zone, labelSelector: byNode?.['labelSelector'] },
      { ...zone, labelSelector },
    ]);
  });

  test('disruption budgets let nodes drain, and select the Pods that they are for', () => {
    for (const name of ['keyforge-operator', 'keyforge-gateway']) {
      const { spec } = one(full, 'PodDisruptionBudget', name);
      assert.equal(spec.maxUnavailable, 1);
      assertSelects(spec.selector.matchLabels, one(full, 'Deployment', name));
    }
  });

  test('services and network policies select the right Pods, at ports that these open', () => {
    for (const name of ['keyforge-operator', 'keyforge-gateway']) {
      const deployment = one(full, 'Deployment', name);
      const [container] = deployment['spec'].template.spec.containers;
      const service = one(full, 'Service', name);
      assertSelects(service['spec'].selector, deployment);
      const open = container.ports as readonly { readonly name: string; readonly containerPort: number }[];
      for (const { targetPort } of service['spec'].ports) assert.ok(open.some((port) => port.name === targetPort));
      const policy = one(full, 'NetworkPolicy', name);
      assertSelects(policy['spec'].podSelector.matchLabels, deployment);
      assert.deepEqual(policy['spec'].policyTypes, ['Ingress', 'Egress']);
      const allowed = policy['spec'].ingress.flatMap(({ ports }: { readonly ports: readonly { readonly port: number }[] }) =>
        ports.map(({ port }) => port),
      );
      assert.deepEqual(
        allowed,
        open.map(({ containerPort }) => containerPort),
      );
    }
  });

  test('what may leave: DNS, and from the gateway the ports of providers, as the values name them', async () => {
    const egress = (objects: readonly Rendered[], name: string): readonly (readonly string[])[] =>
      one(objects, 'NetworkPolicy', name)['spec'].egress.map(({ ports }: { readonly ports: readonly Port[] }) =>
        ports.map(({ protocol, port }) => `${protocol} ${port}`),
      );
    assert.deepEqual(egress(full, 'keyforge-operator'), [
      ['UDP 53', 'TCP 53'],
      ['TCP 443', 'TCP 6443'],
    ]);
    assert.deepEqual(egress(full, 'keyforge-gateway'), [['UDP 53', 'TCP 53'], ['TCP 8443'], ['TCP 443']]);
    const networkPolicy = { dnsPorts: [53, 5353], providerPorts: [443, 8000], apiServerPorts: [6443] };
    const other = await render({ gateway: { enabled: true }, networkPolicy });
    const dns = ['UDP 53', 'TCP 53', 'UDP 5353', 'TCP 5353'];
    assert.deepEqual(egress(other, 'keyforge-operator'), [dns, ['TCP 6443']]);
    assert.deepEqual(egress(other, 'keyforge-gateway'), [dns, ['TCP 8443'], ['TCP 443', 'TCP 8000']]);
  });

  test('the gateway runs the proxy as attestation expects it', () => {
    const { spec } = one(full, 'Deployment', 'keyforge-gateway')['spec'].template;
    const [container, ...others] = spec.containers;
    assert.deepEqual(others, []);
    assert.equal(container.name, proxyContainer);
    assert.equal(spec.securityContext.runAsUser, proxyUserId);
    assert.equal(spec.automountServiceAccountToken, false);
    const [token] = spec.volumes;
    assert.equal(token.projected.sources[0].serviceAccountToken.audience, controlAudience);
    assert.deepEqual(
      container.volumeMounts.map(({ mountPath }: { readonly mountPath: string }) => mountPath),
      [tokenMountPath, dataMountPath],
    );
    assert.deepEqual(
      container.ports.map(({ containerPort }: { readonly containerPort: number }) => containerPort),
      [agentPort, metricsPort],
    );
  });

  test('the programs understand the arguments that they are given', () => {
    const standard = readOperatorCommand(['--namespace=x', '--proxy-image=x'], {});
    assert.ok(!('problems' in standard));
    for (const objects of [plain, full]) {
      const [operator] = one(objects, 'Deployment', 'keyforge-operator')['spec'].template.spec.containers;
      const command = readOperatorCommand(operator.args, {});
      assert.ok(!('problems' in command), JSON.stringify(command));
      assert.equal(command.namespace, releaseNamespace);
      assert.equal(command.webhookConfiguration, 'keyforge-injector');
      assert.equal(command.service.name, 'keyforge-operator');
      assert.deepEqual(
        command.proxyResources,
        objects === full ? { requests: {}, limits: { cpu: '1', memory: '512Mi' } } : standard.proxyResources,
      );
      assert.equal(command.gatewayUrl, objects === full ? 'http://keyforge-gateway.keyforge-system.svc' : null);
    }
    const [gateway] = one(full, 'Deployment', 'keyforge-gateway')['spec'].template.spec.containers;
    const certificate = '-----BEGIN CERTIFICATE-----';
    const environment = { KEYFORGE_CONTROL: gateway.env[0].value as string, KEYFORGE_CONTROL_CA: certificate };
    const command = readProxyCommand(gateway.args, environment);
    assert.ok(!('problems' in command), JSON.stringify(command));
    assert.deepEqual(command.listen, { host: '0.0.0.0', port: agentPort });
  });

  test('every alert has its section in the runbook, and every section its alert', () => {
    const alerts = alertsOf(full);
    const sections = [...readFileSync(join(root, 'docs', 'runbooks.md'), 'utf8').matchAll(/^## (.+)$/gm)].map((match) => match[1]);
    assert.deepEqual(
      sections,
      alerts.map(({ alert }) => alert),
    );
    for (const { alert, annotations, labels } of alerts) {
      assert.ok(annotations.runbook_url.endsWith(`#${alert.toLowerCase()}`), alert);
      assert.ok(['critical', 'warning', 'info'].includes(labels.severity), alert);
    }
  });

  test('what happens once is told: alerts on single refusals see a series that is born with its first', () => {
    const expressions = new Map(alertsOf(full).map(({ alert, expr }) => [alert, expr.replace(/\s+/g, ' ')]));
    const risen = (by: string, series: string, within: string): string =>
      `sum by (${by}) (increase(${series}[${within}])) > 0 or sum by (${by}) (${series} unless ${series} offset ${within}) > 0`;
    const refused = (codes: string): string => `keyforge_requests_total{code=~"${codes}"}`;
    assert.equal(expressions.get('KeyForgeBudgetExhausted'), risen('key', refused('budget_exhausted|quota_exhausted'), '15m'));
    assert.equal(expressions.get('KeyForgePriceUnknown'), risen('key', refused('model_unpriced|unmeterable_request'), '30m'));
    const refusals = 'keyforge_operator_session_refusals_total{namespace="keyforge-system", refusal=~"pod_drifted|image_denied"}';
    assert.equal(expressions.get('KeyForgePodDrifted'), risen('', refusals, '15m'));
  });

  test('alerts are refused without the ServiceMonitor, since that of an operator which nobody scrapes would never end', async () => {
    await assert.rejects(
      render({ monitoring: { prometheusRule: { enabled: true } } }),
      /monitoring\.prometheusRule\.enabled needs monitoring\.serviceMonitor\.enabled/,
    );
  });

  test('alerts and dashboards ask for metrics that proxy and operator have', () => {
    const known = ['proxy/metrics.ts', 'operator/cluster/metrics.ts'].map((file) => readFileSync(join(root, file), 'utf8')).join();
    const dashboards = full.filter(({ kind }) => kind === 'ConfigMap');
    assert.equal(dashboards.length, 3);
    for (const { data } of dashboards) for (const text of Object.values<string>(data)) JSON.parse(text);
    const text = JSON.stringify([dashboards, one(full, 'PrometheusRule', 'keyforge')]);
    for (const [name] of text.matchAll(/\bkeyforge_[a-z_]+/g)) {
      assert.ok(known.includes(`'${name.replace(/_bucket$/, '')}'`), name);
    }
    assert.doesNotMatch(text, /kube_pod_container_/, 'native sidecars are init containers to kube-state-metrics');
  });
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface Port {
  readonly protocol: string;
  readonly port: number;
}

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly runbook_url: string };
}

/** `operator.image.tag` and so on: every value that the schema takes, but what only Helm sets. */
function valuePaths(): readonly string[] {
  const schema = JSON.parse(readFileSync(join(chartFolder, 'values.schema.json'), 'utf8')) as Schema & {
    readonly $defs: Record<string, Schema>;
  };
  const inSchema = (at: Schema, path: string): readonly string[] => {
    const { properties } = schema.$defs[/(image|serviceAccount)$/.exec(at.$ref ?? '')?.[0] ?? ''] ?? at;
    if (properties === undefined) return [path];
    return Object.entries(properties).flatMap(([name, inner]) => inSchema(inner, path === '' ? name : `${path}.${name}`));
  };
  return inSchema(schema, '').filter((path) => path !== 'global');
}

function alertsOf(objects: readonly Rendered[]): readonly Alert[] {
  const groups = one(objects, 'PrometheusRule', 'keyforge')['spec'].groups as readonly { readonly rules: readonly Alert[] }[];
  return groups.flatMap(({ rules }) => rules);
}

function verbsOn(rules: readonly Rule[] | undefined, resource: string): readonly string[] {
  return (rules ?? [])
    .filter(({ resources }) => resources.includes(resource))
    .flatMap(({ verbs }) => verbs)
    .sort();
}

function nameOf({ kind, metadata }: Rendered): string {
  return `${kind}/${metadata.name}`;
}

/** Without the admission policies, which have a test of their own. */
function names(objects: readonly Rendered[]): string[] {
  return objects.filter(({ kind }) => !kind.startsWith('ValidatingAdmissionPolicy')).map(nameOf);
}

function podSpecs(object: Rendered): readonly Rendered['spec'][] {
  if (object.kind === 'Pod') return [object['spec']];
  return object.kind === 'Deployment' ? [object['spec'].template.spec] : [];
}

function assertSelects(selector: Readonly<Record<string, string>>, deployment: Rendered): void {
  const labels = deployment['spec'].template.metadata.labels as Readonly<Record<string, string>>;
  assert.deepEqual(Object.fromEntries(Object.keys(selector).map((key) => [key, labels[key]])), selector);
}
