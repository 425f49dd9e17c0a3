import { isObject, parseJson } from '../../core/json.ts';
import type { ClusterOptions } from '../../operator/cluster/config.ts';
import type { Environment } from '../config.ts';
import { isLoopback, type Misuse, Reader } from './reader.ts';

/** The command line of `keyforge operator`, with its environment. */
type OperatorCommand = Omit<ClusterOptions, 'identity' | 'logger'> & { readonly logLevel: string };

/** Flags of `keyforge operator`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readOperatorCommand(args: readonly string[], environment: Environment): OperatorCommand | Misuse {
  const read = new Reader(args, environment, {
    kubeconfig: { type: 'string' },
    namespace: { type: 'string' },
    data: { type: 'string' },
    listen: { type: 'string' },
    'metrics-listen': { type: 'string' },
    'admin-listen': { type: 'string' },
    service: { type: 'string' },
    'service-port': { type: 'string' },
    'webhook-configuration': { type: 'string' },
    'certificate-dir': { type: 'string' },
    'pool-namespaces': { type: 'string' },
    'proxy-image': { type: 'string' },
    'proxy-image-digests': { type: 'string' },
    'proxy-image-pull-policy': { type: 'string' },
    'proxy-resources': { type: 'string' },
    'gateway-service-account': { type: 'string' },
    'gateway-url': { type: 'string' },
    'log-level': { type: 'string' },
  });
  const namespace = read.required('namespace');
  const pullPolicy = read.text('proxy-image-pull-policy') ?? 'IfNotPresent';
  const port = Number(read.text('service-port') ?? '443');
  if (!Number.isInteger(port) || port < 1 || port > 65_535) read.problem(`--service-port: ${read.text('service-port')} is no port`);
  const command: OperatorCommand = {
    kubeconfig: read.text('kubeconfig') ?? 'in-cluster',
    namespace,
    dataDir: read.text('data') ?? '/var/lib/keyforge',
    listen: read.address('listen', '0.0.0.0:8443'),
    metricsListen: read.address('metrics-listen', '0.0.0.0:9464'),
    adminListen: read.address('admin-listen', '127.0.0.1:8788'),
    service: { name: read.text('service') ?? 'keyforge-operator', port },
    webhookConfiguration: read.text('webhook-configuration') ?? 'keyforge-injector',
    certificateDir: read.text('certificate-dir') ?? null,
    poolNamespaces: words(read.text('pool-namespaces')) ?? [namespace],
    proxyImage: read.required('proxy-image'),
    proxyImageDigests: words(read.text('proxy-image-digests')) ?? [],
    proxyImagePullPolicy: isPullPolicy(pullPolicy) ? pullPolicy : 'IfNotPresent',
    proxyResources: resources(read, 'proxy-resources'),
    gatewayServiceAccount: read.text('gateway-service-account') ?? null,
    gatewayUrl: origin(read, 'gateway-url'),
    logLevel: read.logLevel('info'),
  };
  read.noWords();
  if (!isLoopback(command.adminListen))
    read.problem(`--admin-listen: ${command.adminListen.host} is not loopback; use 127.0.0.1 and kubectl port-forward`);
  if (!isPullPolicy(pullPolicy)) read.problem(`--proxy-image-pull-policy: ${pullPolicy} is none of ${pullPolicies.join(', ')}`);
  const odd = command.proxyImageDigests.find((digest) => !/^sha256:[0-9a-f]{64}$/.test(digest));
  if (odd !== undefined) read.problem(`--proxy-image-digests: ${odd} is no digest such as sha256:… with 64 hexadecimal digits`);
  return read.result(command);
}

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const;

function isPullPolicy(text: string): text is (typeof pullPolicies)[number] {
  return pullPolicies.some((known) => known === text);
}

function origin(read: Reader, name: string): string | null {
  const url = read.text(name) ?? null;
  if (url !== null && !/^https?:\/\/[^/\s]+$/.test(url)) {
    read.problem(`--${name}: ${url} is no origin; give it as http://keyforge-gateway.keyforge-system.svc, without a path`);
  }
  return url;
}

const standardResources = '{"requests":{"cpu":"10m","memory":"96Mi"},"limits":{"memory":"256Mi"}}';

/** As a container has them. What the API server would reject is a problem now, rather than with every injected Pod. */
function resources(read: Reader, name: string): ClusterOptions['proxyResources'] {
  const text = read.text(name) ?? standardResources;
  const wrong = (what: string): void => read.problem(`--${name}: ${what}; write JSON such as ${standardResources}`);
  const given = parseJson(text);
  if (!isObject(given)) {
    wrong(`${text} is no JSON object`);
    return { requests: {}, limits: {} };
  }
  for (const part of Object.keys(given)) if (!['requests', 'limits'].includes(part)) wrong(`${part} is neither requests nor limits`);
  const amounts = (part: string): Readonly<Record<string, string>> => {
    const found = given[part] ?? {};
    if (!isObject(found)) wrong(`${part} is no object`);
    const entries = Object.entries(isObject(found) ? found : {});
    for (const [resource, amount] of entries) if (!quantity.test(String(amount))) wrong(`${part}.${resource}: ${amount} is no quantity`);
    return Object.fromEntries(entries.map(([resource, amount]) => [resource, String(amount)]));
  };
  return { requests: amounts('requests'), limits: amounts('limits') };
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/, without exponents. */
const quantity = /^\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i)?$/;

function words(text: string | undefined): readonly string[] | undefined {
  const list = text?.split(',').map((word) => word.trim());
  return list?.filter((word) => word !== '');
}
