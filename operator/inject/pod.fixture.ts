import { isObject } from '../../core/json.ts';
import type { JsonPatchOperation } from '../kube/types.ts';
import { inject } from './inject.ts';
import { injectLabel, virtualKeyAnnotation } from './names.ts';
import { viewOf } from './pod-view.ts';
import type { InjectedKey, Injection, Pod, RenderSettings } from './types.ts';

export const settings: RenderSettings = {
  image: `registry.example/keyforge-proxy@sha256:${'a'.repeat(64)}`,
  imagePullPolicy: 'IfNotPresent',
  controlUrl: 'wss://keyforge-operator.keyforge-system.svc:443/control',
  rootCertificate: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  resources: { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '192Mi' } },
};

export const key: InjectedKey = { secretName: 'research-agent', sidecar: true };

/** An opted-in Pod of one container, overridden by `spec`. */
export function agentPod(spec: Readonly<Record<string, unknown>> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'agent', labels: { [injectLabel]: 'true' }, annotations: { [virtualKeyAnnotation]: 'research-agent' } },
    spec: { containers: [{ name: 'agent', image: 'agent' }], ...spec },
  };
}

/** The result of `inject`; the Pod itself if there is nothing to do. Throws on a refusal. */
export function injected(pod: Pod, from: RenderSettings = settings): Pod {
  const injection: Injection = inject(viewOf(pod), 'agents', key, from);
  if (injection.kind === 'refuse') throw new Error(`${injection.reason}: ${injection.message}`);
  return injection.kind === 'patch' ? patched(pod, injection.patch) : pod;
}

/** Applies RFC 6902 as the API server does; throws on what that would reject. */
export function patched(pod: Pod, patch: readonly JsonPatchOperation[]): Pod {
  const copy: unknown = structuredClone(pod);
  for (const operation of patch) applyOne(copy, operation);
  return copy as Pod;
}

function applyOne(root: unknown, operation: JsonPatchOperation): void {
  const segments = operation.path
    .split('/')
    .slice(1)
    .map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = segments.pop() ?? '';
  let parent: unknown = root;
  for (const segment of segments) parent = (parent as Record<string, unknown> | undefined)?.[segment];
  const fail = (): never => {
    throw new Error(`${operation.op} ${operation.path}: no such place`);
  };
  if (Array.isArray(parent)) applyToList(parent, last, operation, fail);
  else if (isObject(parent)) {
    const object = parent as Record<string, unknown>;
    if (operation.op !== 'add' && !Object.hasOwn(object, last)) fail();
    if (operation.op === 'remove') delete object[last];
    else if (operation.op !== 'test') object[last] = structuredClone(operation.value);
  } else fail();
}

function applyToList(items: unknown[], last: string, operation: JsonPatchOperation, fail: () => never): void {
  const index = last === '-' && operation.op === 'add' ? items.length : Number(last);
  const most = operation.op === 'add' ? items.length : items.length - 1;
  if (!Number.isInteger(index) || index < 0 || index > most) fail();
  if (operation.op === 'remove') items.splice(index, 1);
  else if (operation.op === 'add') items.splice(index, 0, structuredClone(operation.value));
  else if (operation.op === 'replace') items[index] = structuredClone(operation.value);
}
