import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { controlAudience } from '../../operator/inject/names.ts';
import { poolObject, secretObject } from '../../operator/reconcile/bench.fixture.ts';
import { connectOperator, type Session } from '../../proxy/link/session.ts';
import type { ApiAnswer } from './api-client.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts';

export const system: string = 'keyforge-system';
/** What Pods of `startOperatorProcess` are injected with. */
export const proxyImage: string = 'keyforge.dev/keyforge-proxy:test';
/** Of the proxy image that may run. */
export const proxyDigest: string = `sha256:${'a'.repeat(64)}`;
export const onePool: { readonly pools: readonly object[]; readonly limits: readonly object[] } = {
  pools: [{ name: 'openai', namespace: system }],
  limits: [{ window: 'Day', usd: '5.00' }],
};

/** A control plane with the custom resources, the operator's namespace, a pool, and a webhook that nobody answers yet. */
export async function startWorld(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const cp = await startControlPlane(options);
  for (const name of ['virtualkeys', 'providerpools'])
    await cp.apply(await readFile(new URL(`../../crds/${name}.yaml`, import.meta.url), 'utf8'));
  await cp.createNamespace(system);
  await cp.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'keyforge-operator', namespace: system },
    // The API server goes to this machine, and expects the certificate of keyforge-operator.keyforge-system.svc.
    spec: { type: 'ExternalName', externalName: 'localhost' },
  });
  await cp.apply(secretObject(system, 'openai', { a: 'sk-real-1' }));
  await cp.apply(poolObject());
  return cp;
}

/** Sends Pods that opt in to the operator on this port. No caBundle is named: the operator keeps that. */
export async function sendPodsTo(cp: ControlPlane, port: number, failurePolicy: 'Fail' | 'Ignore' = 'Fail'): Promise<void> {
  await cp.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'keyforge-injector' },
    webhooks: [
      {
        name: 'inject.keyforge.dev',
        admissionReviewVersions: ['v1'],
        clientConfig: { service: { name: 'keyforge-operator', namespace: system, path: '/inject', port } },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' }],
        objectSelector: { matchLabels: { 'keyforge.dev/inject': 'true' } },
        failurePolicy,
        reinvocationPolicy: 'IfNeeded',
        sideEffects: 'NoneOnDryRun',
      },
    ],
  });
}

/** A Pod's metadata and spec. */
export interface AgentPod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly object[] };
}

/** What a Pod or a Pod template says to get a proxy. */
export function agentPod(key: string): AgentPod {
  return {
    metadata: { labels: { app: 'agent', 'keyforge.dev/inject': 'true' }, annotations: { 'keyforge.dev/virtual-key': key } },
    spec: { containers: [{ name: 'agent', image: 'agent' }] },
  };
}

/** An injected Pod whose proxy runs, as its kubelet would tell. */
export interface RunningPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The root that its proxy was told to trust. */
  readonly ca: string;
}

/** Creates a Pod through the webhook, and tells of it what its kubelet would. */
export async function runPod(cp: ControlPlane, namespace: string, name: string, key: string): Promise<RunningPod> {
  const { metadata, spec } = agentPod(key);
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const { status, body } = await cp.client.request('POST', pods, { metadata: { name, ...metadata }, spec });
  assert.equal(status, 201, JSON.stringify(body));
  const [proxy] = body.spec.initContainers;
  const running = { name: proxy.name, image: proxy.image, imageID: proxyDigest, ready: true, restartCount: 0, started: true };
  await cp.client.request('PATCH', `${pods}/${name}/status`, { status: { phase: 'Running', initContainerStatuses: [running] } });
  const ca = proxy.env.find((variable: { name: string }) => variable.name === 'KEYFORGE_CONTROL_CA').value;
  return { namespace, name, uid: body.metadata.uid, ca };
}

/** The token that the kubelet would put into the Pod. */
export async function tokenOf(cp: ControlPlane, { namespace, name, uid }: RunningPod): Promise<string> {
  const { status, body } = await cp.client.request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
    spec: { audiences: [controlAudience], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid } },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.status.token;
}

/** A proxy of the Pod: its session, and the tokens that it was last told to let through with when it heard that. */
export interface Attached {
  readonly session: Session;
  /** Resolves to the time when what is served comes true for `isIt`; rejects with what is where that takes over two minutes. */
  served(isIt: (keys: readonly ServedHints[], credentials: number) => boolean): Promise<number>;
}

export interface ServedHints {
  readonly key: string;
  readonly hints: readonly string[];
}

/** Attaches to the operator on this port as the Pod's proxy would; `findServicesHere` must be in force. */
export async function attach(cp: ControlPlane, pod: RunningPod, port: number): Promise<Attached> {
  // Asked for once: the API server may be away when the proxy comes back.
  const token = await tokenOf(cp, pod);
  const session = connectOperator({
    url: `wss://keyforge-operator.${system}.svc:${port}/control`,
    ca: pod.ca,
    readToken: async () => token,
    logger: pino({ level: 'silent' }),
    monotonic: () => performance.now(),
    random: Math.random,
  });
  let last: { readonly keys: readonly ServedHints[]; readonly credentials: number; readonly atMs: number } | null = null;
  const waiting = new Set<() => void>();
  session.watch((push) => {
    if (push.kind !== 'snapshot') return;
    const keys = push.keys.map(({ document, tokens }) => ({ key: document.key, hints: tokens.map(({ hint }) => hint) }));
    last = { keys, credentials: push.credentials.length, atMs: performance.now() };
    for (const look of [...waiting]) look();
  });
  return {
    session,
    served: (isIt) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`not within two minutes: the proxy of ${pod.name} is served what was expected, but ${JSON.stringify(last)}`));
        }, 120_000);
        const look = (): void => {
          if (last === null || !isIt(last.keys, last.credentials)) return;
          clearTimeout(late);
          waiting.delete(look);
          resolve(last.atMs);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** The body of an object, null where it is not there. */
// biome-ignore lint/suspicious/noExplicitAny: tests read into arbitrary objects of the API and fail where a field is not there
export async function read(cp: ControlPlane, path: string): Promise<any> {
  const answer: ApiAnswer = await cp.client.request('GET', path);
  return answer.status === 404 ? null : answer.body;
}

export const keyPath = (namespace: string, name: string): string =>
  `/apis/keyforge.dev/v1alpha1/namespaces/${namespace}/virtualkeys/${name}`;
export const secretPath = (namespace: string, name: string): string => `/api/v1/namespaces/${namespace}/secrets/${name}`;

/** Waits for a VirtualKey's condition Ready to be `Status Reason`; the object. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export async function untilKey(cp: ControlPlane, namespace: string, name: string, wanted = 'True Served'): Promise<any> {
  let told: unknown;
  const look = async () => {
    const object = await read(cp, keyPath(namespace, name));
    told = object?.status?.conditions ?? object;
    const ready = (object?.status?.conditions ?? []).find(({ type }: { type: string }) => type === 'Ready');
    return ready !== undefined && `${ready.status} ${ready.reason}` === wanted ? object : undefined;
  };
  return until(`VirtualKey ${namespace}/${name} is ${wanted}`, look).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(told)}`);
  });
}

/** The token in a Secret; null where there is none. */
export async function tokenIn(cp: ControlPlane, namespace: string, name: string): Promise<string | null> {
  const packed = (await read(cp, secretPath(namespace, name)))?.data?.['api-key'];
  return packed === undefined ? null : Buffer.from(packed, 'base64').toString();
}

/** Resolves when `look` gives something other than undefined and false; answers that fail count as nothing. */
export async function until<T>(what: string, look: () => Promise<T>, withinMs = 60_000): Promise<Exclude<T, undefined | false>> {
  for (const endMs = performance.now() + withinMs; ; await pause(25)) {
    const found = await look().catch(() => undefined);
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

/** A figure of the operator's metrics; undefined where it is not shown. */
export async function figure(metricsUrl: string, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}{`));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

/** The value below which `share` of the sorted numbers lie. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
