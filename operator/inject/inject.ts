import type { JsonPatchOperation } from '../kube/types.ts';
import { containerDrift, volumeDrift } from './compare.ts';
import { containersOf, otherContainers, proxyOf, volumesOf } from './containers.ts';
import { environmentChange } from './environment.ts';
import { hazards } from './hazards.ts';
import { list, pointer, record } from './json.ts';
import { agentPort, injectedAnnotation, injectLabel, metricsPort, proxyContainer, virtualKeyAnnotation } from './names.ts';
import { rawProviderKey } from './raw-key.ts';
import { because, type Reason } from './reasons.ts';
import { renderProxy } from './render.ts';
import type { InjectedKey, Injection, Pod, RenderedProxy, RenderSettings } from './types.ts';

/** True for a Pod that asks for a proxy by its label. */
export function optedIn(pod: Pod): boolean {
  return record(pod.metadata?.labels)[injectLabel] === 'true';
}

/** The VirtualKey that the Pod names; null where the annotation is absent or could name no object. */
export function namedKey(pod: Pod): string | null {
  const name = record(pod.metadata?.annotations)[virtualKeyAnnotation];
  // It becomes part of a URL: nothing but an object's name (RFC 1123 subdomain) may pass.
  return typeof name === 'string' && name.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) ? name : null;
}

/**
 * What to do to a Pod that is about to be created in `namespace`; `key` is the one that it names, null where there is none.
 * Calling again on the result changes nothing, and repairs what other webhooks did to our part in between.
 */
export function inject(pod: Pod, namespace: string, key: InjectedKey | null, settings: RenderSettings): Injection {
  if (!optedIn(pod)) return { kind: 'skip', ...because('NotOptedIn', `the Pod has no label ${injectLabel}: "true"`) };
  const rendered = renderProxy(settings);
  const refusal =
    keyRefusal(pod, namespace, key) ?? hazards(pod)[0] ?? portTaken(pod) ?? rawProviderKey(pod) ?? foreignProxy(pod, rendered);
  if (refusal !== null) return { kind: 'refuse', reason: refusal.reason, message: refusal.message };

  const changes = otherContainers(pod).map((placed) => environmentChange(placed, key?.secretName ?? ''));
  // The proxy goes in last: it moves the index of every init container.
  const patch = [
    ...changes.flatMap((change) => change.patch),
    ...volumePatch(pod, rendered),
    ...markPatch(pod),
    ...proxyPatch(pod, rendered),
  ];
  if (patch.length === 0) return { kind: 'skip', ...because('AlreadyInjected', 'the Pod has its proxy') };
  return { kind: 'patch', patch, warnings: changes.flatMap(({ warnings }) => warnings) };
}

function keyRefusal(pod: Pod, namespace: string, key: InjectedKey | null): Reason | null {
  const name = namedKey(pod);
  if (name === null) {
    return because(
      'NoVirtualKeyAnnotation',
      `set the annotation ${virtualKeyAnnotation} to the name of a VirtualKey in namespace ${namespace}`,
    );
  }
  if (key === null) {
    return because(
      'VirtualKeyNotFound',
      `VirtualKey ${namespace}/${name} does not exist; create it, or correct the annotation ${virtualKeyAnnotation}`,
    );
  }
  if (!key.sidecar) {
    return because(
      'NotDeliveredToSidecars',
      `VirtualKey ${namespace}/${name} has no Sidecar in spec.delivery; add it, or name another key`,
    );
  }
  return null;
}

function portTaken(pod: Pod): Reason | null {
  for (const { name, container } of otherContainers(pod)) {
    const port = list(container['ports'])
      .map((each) => record(each)['containerPort'])
      .find((each) => each === agentPort || each === metricsPort);
    if (port !== undefined) return because('PortTaken', `container ${name} has port ${port}, which is the proxy’s; choose another`);
  }
  return null;
}

/** Our names, but not our work. What carries the mark was ours: it is put right instead. */
function foreignProxy(pod: Pod, rendered: RenderedProxy): Reason | null {
  const elsewhere = containersOf(pod).find(({ list: kind, name }) => kind !== 'initContainers' && name === proxyContainer);
  const marked = isMarked(pod);
  const inContainer = proxyOf(pod) === undefined || marked ? [] : containerDrift(pod, rendered);
  const hasVolume = volumesOf(pod).some(({ volume }) => rendered.volumes.some(({ name }) => name === volume['name']));
  const inVolumes = !hasVolume || marked ? [] : volumeDrift(pod, rendered);
  const path = elsewhere?.path ?? inContainer[0] ?? inVolumes[0];
  if (path === undefined) return null;
  return because(
    'ForeignProxyContainer',
    `${path} is not as the injector writes it; remove ${proxyContainer} and its volumes from the manifest`,
  );
}

function isMarked(pod: Pod): boolean {
  return record(pod.metadata.annotations)[injectedAnnotation] === 'true';
}

function markPatch(pod: Pod): readonly JsonPatchOperation[] {
  return isMarked(pod) ? [] : [{ op: 'add', path: pointer('metadata', 'annotations', injectedAnnotation), value: 'true' }];
}

function volumePatch(pod: Pod, rendered: RenderedProxy): readonly JsonPatchOperation[] {
  const present = volumesOf(pod);
  const drifted = volumeDrift(pod, rendered);
  const absent = rendered.volumes.filter(({ name }) => !present.some(({ volume }) => volume['name'] === name));
  const replaced = rendered.volumes.flatMap((value) => {
    const path = present.find(({ volume }) => volume['name'] === value['name'])?.path;
    if (path === undefined || !drifted.some((each) => each === path || each.startsWith(`${path}/`))) return [];
    return [{ op: 'replace' as const, path, value }];
  });
  if (absent.length === 0) return replaced;
  if (!Array.isArray(record(pod['spec'])['volumes'])) return [{ op: 'add', path: '/spec/volumes', value: absent }];
  return [...replaced, ...absent.map((value) => ({ op: 'add' as const, path: '/spec/volumes/-', value }))];
}

function proxyPatch(pod: Pod, rendered: RenderedProxy): readonly JsonPatchOperation[] {
  const placed = proxyOf(pod);
  if (placed !== undefined && containerDrift(pod, rendered).length === 0) return [];
  const removed = placed === undefined ? [] : [{ op: 'remove' as const, path: placed.path }];
  if (!Array.isArray(record(pod['spec'])['initContainers']))
    return [{ op: 'add', path: '/spec/initContainers', value: [rendered.container] }];
  return [...removed, { op: 'add', path: '/spec/initContainers/0', value: rendered.container }];
}
