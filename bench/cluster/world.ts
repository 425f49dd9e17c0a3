import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiAnswer, ApiClient, ApiMethod } from '../../test/cluster/api-client.ts';
import { type ControlPlane, startControlPlane } from '../../test/cluster/control-plane.ts';
import { createFolder } from '../../test/cluster/folder.ts';
import { helmBinary } from '../../test/cluster/helm.ts';
import { type OperatorProcess, startOperatorProcess } from '../../test/cluster/operator-process.ts';
import { enforcePolicies } from '../../test/cluster/policies.ts';
import { run } from '../../test/cluster/run.ts';
import { type AuditLog, openAuditLog } from './audit.ts';

const root = join(import.meta.dirname, '..', '..');
/** The operator's own namespace. */
export const system = 'keyforge-system';
const service = 'keyforge-operator';
const account = `system:serviceaccount:${system}:${service}`;
/** As the operator's image is started. */
const nodeOptions = '--max-semi-space-size=8';

/** A control plane with the chart's rights, policies and webhook, whose audit log tells what the operator does. */
export interface World {
  readonly cp: ControlPlane;
  readonly audit: AuditLog;
  /** One operator at a time; the webhook calls the last one started. */
  startOperator(dataDir?: string): Promise<OperatorProcess>;
}

/** Starts it with nothing of ours in it but definitions, pools and namespaces. */
export async function openWorld(namespaces: readonly string[]): Promise<World> {
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} ${nodeOptions}`.trim();
  const folder = await createFolder();
  const audit = openAuditLog(join(folder, 'audit.log'), account);
  const policy = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    rules: [{ level: 'Metadata', users: [account] }],
    omitStages: ['RequestReceived'],
  };
  await writeFile(join(folder, 'audit-policy.json'), JSON.stringify(policy));
  const apiserverFlags = { 'audit-policy-file': join(folder, 'audit-policy.json'), 'audit-log-path': audit.path };
  const [cp, helm] = await Promise.all([startControlPlane({ folder, apiserverFlags }), helmBinary()]);
  for (const name of [system, ...namespaces]) await cp.createNamespace(name);
  for (const name of ['virtualkeys', 'providerpools']) await cp.apply(await readFile(join(root, 'crds', `${name}.yaml`), 'utf8'));
  const parts = ['operator-rbac', 'serviceaccounts', 'injector'].flatMap((name) => ['--show-only', `templates/${name}.yaml`]);
  const chart = ['template', 'keyforge', join(root, 'charts', 'keyforge'), '--namespace', system, ...parts];
  const homes = ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, join(folder, 'helm', name)]);
  await cp.apply(await run(helm, chart, { environment: Object.fromEntries(homes) }));
  await enforcePolicies(cp, { image: 'keyforge.dev/keyforge-proxy:test' });
  await cp.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: service, namespace: system },
    spec: { type: 'ExternalName', externalName: 'localhost' },
  });
  return { cp, audit, startOperator: operatorOf(cp) };
}

function operatorOf(cp: ControlPlane): World['startOperator'] {
  return async (dataDir = join(cp.folder, 'operator-data')) => {
    const certificates = join(cp.folder, 'operator-certificates');
    await mkdir(certificates, { recursive: true });
    // Proxies come by address here, Pods by name.
    const hosts = ['127.0.0.1', `${service}.${system}.svc`, `${service}.${system}.svc.cluster.local`];
    const { certificate, key } = await cp.authority.issueServer(service, hosts);
    const files = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': cp.caPem };
    for (const [name, text] of Object.entries(files)) await writeFile(join(certificates, name), text, { mode: 0o600 });
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${system}`, 'system:authenticated'];
    const kubeconfig = await cp.kubeconfigFor(account, groups);
    const more = ['--certificate-dir', certificates, '--proxy-image-digests', `sha256:${'a'.repeat(64)}`];
    const operator = await startOperatorProcess({ kubeconfig, namespace: system, more, dataDir });
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/keyforge-injector';
    const operation = { op: 'replace', path: '/webhooks/0/clientConfig/service/port', value: operator.port };
    await demand(cp.client, 'PATCH', path, [operation], 'application/json-patch+json');
    return operator;
  };
}

/** One call that must succeed. */
export async function demand(
  client: ApiClient,
  ...[method, path, body, type]: [method: ApiMethod, path: string, body?: unknown, type?: string]
): Promise<ApiAnswer> {
  const answer = await client.request(method, path, body, type);
  if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`);
  return answer;
}

const providers = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini', mistral: 'Mistral', openrouter: 'OpenRouter' };

/** Five pools with two credentials each, open to every namespace. */
export function poolObjects(): readonly object[] {
  return Object.entries(providers).flatMap(([name, provider]) => [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: system },
      stringData: { a: `sk-${randomBytes(24).toString('hex')}`, b: `sk-${randomBytes(24).toString('hex')}` },
    },
    {
      apiVersion: 'keyforge.dev/v1alpha1',
      kind: 'ProviderPool',
      metadata: { name, namespace: system },
      spec: {
        provider,
        keys: ['a', 'b'].map((key) => ({ name: key, secretRef: { name, key } })),
        consumers: [{ namespaceSelector: {} }],
      },
    },
  ]);
}

/** The organisation and its teams: budgets without tokens, in namespace `platform`. */
export function budgetObjects(teams: readonly string[]): readonly object[] {
  const pools = Object.keys(providers).map((name) => ({ name, namespace: system }));
  const common = { issueToken: false, children: { namespaceSelector: {} } };
  return [
    keyObject('platform', 'org', { ...common, pools, limits: [{ window: 'Month', usd: '100000.00' }] }),
    ...teams.map((team) =>
      keyObject('platform', team, {
        ...common,
        owner: { team },
        parentRef: { name: 'org', namespace: 'platform' },
        limits: [{ window: 'Month', usd: '5000.00' }],
      }),
    ),
  ];
}

/** An agent's key under its team. */
export function agentKey(team: string, name: string): object {
  return keyObject(team, name, {
    owner: { user: `${name}@example.com` },
    labels: { project: 'atlas' },
    parentRef: { name: team, namespace: 'platform' },
    models: { allow: ['gpt-*', 'claude-*'] },
    limits: [
      { window: 'Month', usd: '50.00', requests: 20_000 },
      { window: 'Day', usd: '5.00' },
    ],
    rate: { requestsPerMinute: 60, tokensPerMinute: 100_000 },
    perRequest: { usd: '0.50', outputTokens: 8192 },
  });
}

function keyObject(namespace: string, name: string, spec: object): object {
  return { apiVersion: 'keyforge.dev/v1alpha1', kind: 'VirtualKey', metadata: { namespace, name }, spec };
}
