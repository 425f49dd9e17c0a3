import type { JsonPatchOperation } from '../kube/types.ts';
import { type ComparedVolume, compareVolumes, containerDrift } from './compare.ts';
import { environmentChange } from './environment.ts';
import { hazards } from './hazards.ts';
import { list, pointer, record } from './json.ts';
import { agentPort, injectedAnnotation, metricsPort, proxyContainer, virtualKeyAnnotation } from './names.ts';
import type { PodView } from './pod-view.ts';
import { rawProviderKey } from './raw-key.ts';
import { because, type Reason } from './reasons.ts';
import { renderProxy } from './render.ts';
import type { InjectedKey, Injection, RenderedProxy, RenderSettings } from './types.ts';

/** The rendered proxy, and what of it the Pod already has. */
interface Comparison {
  readonly rendered: RenderedProxy;
  /** Paths at which the proxy's container differs. */
  readonly container: readonly string[];
  readonly volumes: readonly ComparedVolume[];
}

/**
 * Decides how to change a Pod that is about to be created in `namespace`. `key`: the one that it names; null if there is none.
 * A second call on the result changes nothing, except that it repairs what other webhooks did to our part in between.
 */
export function inject(pod: PodView, namespace: string, key: InjectedKey | null, settings: RenderSettings): Injection {
  if (!pod.isOptedIn) return { kind: 'skip', ...because('NotOptedIn') };
  const rendered = renderProxy(settings);
  const ours = { rendered, container: containerDrift(pod, rendered), volumes: compareVolumes(pod, rendered) };
  const refusal = keyRefusal(pod, namespace, key) ?? hazards(pod)[0] ?? portTaken(pod) ?? rawProviderKey(pod) ?? foreignProxy(pod, ours);
  if (refusal !== null) return { kind: 'refuse', reason: refusal.reason, message: refusal.message };

  const changes = pod.others.map((placed) => environmentChange(placed, key?.secretName ?? ''));
  // Add the proxy last, because it moves the index of every init container.
  const patch = [...changes.flatMap((change) => change.patch), ...volumePatch(pod, ours), ...markPatch(pod), ...proxyPatch(pod, ours)];
  if (patch.length === 0) return { kind: 'skip', ...because('AlreadyInjected') };
  return { kind: 'patch', patch, warnings: changes.flatMap(({ warnings }) => warnings) };
}

function keyRefusal({ virtualKey }: PodView, namespace: string, key: InjectedKey | null): Reason | null {
  if (virtualKey === null) {
    return because(
      'NoVirtualKeyAnnotation',
      `set the annotation ${virtualKeyAnnotation} to the name of a VirtualKey in namespace ${namespace}`,
    );
  }
  if (key === null) {
    return because(
      'VirtualKeyNotFound',
      `VirtualKey ${namespace}/${virtualKey} does not exist; create it, or correct the annotation ${virtualKeyAnnotation}`,
    );
  }
  if (!key.sidecar) {
    return because(
      'NotDeliveredToSidecars',
      `VirtualKey ${namespace}/${virtualKey} has no Sidecar in spec.delivery; add it, or name another key`,
    );
  }
  return null;
}

function portTaken({ others }: PodView): Reason | null {
  for (const { name, container } of others) {
    const port = list(container['ports'])
      .map((each) => record(each)['containerPort'])
      .find((each) => each === agentPort || each === metricsPort);
    if (port !== undefined) return because('PortTaken', `container ${name} has port ${port}, which is the proxy’s; choose another`);
  }
  return null;
}

/** Refuses a container or volume that uses our names but is not ours. A Pod with our mark was ours: it is repaired instead. */
function foreignProxy(pod: PodView, { container, volumes }: Comparison): Reason | null {
  const elsewhere = pod.containers.find(({ list: kind, name }) => kind !== 'initContainers' && name === proxyContainer);
  const inContainer = pod.proxy === undefined || pod.isMarked ? [] : container;
  const hasVolume = volumes.some(({ path }) => path !== undefined);
  const inVolumes = !hasVolume || pod.isMarked ? [] : volumes.flatMap(({ drift }) => drift);
  const path = elsewhere?.path ?? inContainer[0] ?? inVolumes[0];
  if (path === undefined) return null;
  return because(
    'ForeignProxyContainer',
    `${path} differs from what the injector writes; remove ${proxyContainer} and its volumes from the manifest`,
  );
}

function markPatch({ isMarked }: PodView): readonly JsonPatchOperation[] {
  return isMarked ? [] : [{ op: 'add', path: pointer('metadata', 'annotations', injectedAnnotation), value: 'true' }];
}

function volumePatch({ spec }: PodView, { volumes }: Comparison): readonly JsonPatchOperation[] {
  const absent = volumes.filter(({ path }) => path === undefined).map(({ rendered }) => rendered);
  const replaced = volumes.flatMap(({ path, drift, rendered }) =>
    path === undefined || drift.length === 0 ? [] : [{ op: 'replace' as const, path, value: rendered }],
  );
  if (absent.length === 0) return replaced;
  if (!Array.isArray(spec['volumes'])) return [{ op: 'add', path: '/spec/volumes', value: absent }];
  return [...replaced, ...absent.map((value) => ({ op: 'add' as const, path: '/spec/volumes/-', value }))];
}

function proxyPatch({ spec, proxy }: PodView, { rendered, container }: Comparison): readonly JsonPatchOperation[] {
  if (proxy !== undefined && container.length === 0) return [];
  const removed = proxy === undefined ? [] : [{ op: 'remove' as const, path: proxy.path }];
  if (!Array.isArray(spec['initContainers'])) return [{ op: 'add', path: '/spec/initContainers', value: [rendered.container] }];
  return [...removed, { op: 'add', path: '/spec/initContainers/0', value: rendered.container }];
}
