import type { JsonObject } from '../../core/json.ts';
import { hazards } from './hazards.ts';
import { differences, list, record } from './json.ts';
import { proxyContainer } from './names.ts';
import { type PodView, viewOf } from './pod-view.ts';
import { renderProxy, rootVariable } from './render.ts';
import type { Pod, RenderedProxy, RenderSettings } from './types.ts';

/** What stays valid in a proxy that was injected under earlier settings. */
interface Accepted {
  /** `sha256:…`: an image pinned to one of these is valid, whatever registry it is from. */
  readonly imageDigests: ReadonlySet<string>;
  /** True for the PEM of roots under which the operator's certificates are, or were, issued. */
  readonly isRoot: (pem: string) => boolean;
}

/**
 * Paths (JSON Pointers into the live Pod, never values) of everything by which a Pod is not what we rendered; empty: exactly
 * ours. Without `accepted`, image and root are those of `settings` alone.
 */
export function drift(pod: Pod, settings: RenderSettings, accepted?: Accepted): readonly string[] {
  const view = viewOf(pod);
  const rendered = renderProxy(settings);
  // The API server lets no two containers have one name; nothing here relies on that.
  const doubles = view.containers.filter(({ name, path }) => name === proxyContainer && path !== view.proxy?.path);
  return [
    ...containerDrift(view, rendered, accepted),
    ...doubles.map(({ path }) => path),
    ...compareVolumes(view, rendered).flatMap((volume) => volume.drift),
    ...hazards(view).map(({ path }) => path),
  ];
}

/** The same for the proxy's container alone, its place included. */
export function containerDrift({ proxy }: PodView, rendered: RenderedProxy, accepted?: Accepted): readonly string[] {
  if (proxy === undefined) return ['/spec/initContainers'];
  const misplaced = proxy.index === 0 ? [] : [proxy.path];
  const renewed = accepted === undefined ? proxy.container : withAccepted(proxy.container, rendered.container, accepted);
  const live = settled(renewed, rendered.container);
  return [...misplaced, ...differences(live, rendered.container, proxy.path)];
}

/** One of the proxy's volumes, and the Pod's of its name. */
export interface ComparedVolume {
  readonly rendered: RenderedProxy['volumes'][number];
  /** Where the Pod has it; undefined where it has none. */
  readonly path: string | undefined;
  /** As of `drift`. */
  readonly drift: readonly string[];
}

/** The proxy's volumes, each beside the Pod's of its name. */
export function compareVolumes({ volumes }: PodView, { volumes: wanted }: RenderedProxy): readonly ComparedVolume[] {
  return wanted.map((rendered) => {
    const live = volumes.find(({ volume }) => volume['name'] === rendered['name']);
    const path = live?.path;
    return { rendered, path, drift: live === undefined ? ['/spec/volumes'] : differences(live.volume, rendered, live.path) };
  });
}

/** Without what the cluster's own parts may rightly change in any container, and what gives nobody control of the proxy. */
function settled(live: JsonObject, wanted: JsonObject): JsonObject {
  const { resizePolicy: _, ...container } = live;
  const security = record(container['securityContext']);
  const { procMount, ...withoutProcMount } = security;
  const digest = digestOf(container['image']);
  return {
    ...container,
    // What names images by mirror or digest: the content is the same.
    ...(digest !== '' && digest === digestOf(wanted['image']) && { image: wanted['image'] }),
    // The AlwaysPullImages admission plugin.
    ...(container['imagePullPolicy'] === 'Always' && { imagePullPolicy: wanted['imagePullPolicy'] }),
    // LimitRange, vertical autoscaler, resize in place.
    ...(!requestsDevice(record(container['resources'])) && { resources: wanted['resources'] }),
    // Written as a default by some versions.
    ...(procMount === 'Default' && { securityContext: withoutProcMount }),
  };
}

/** True where anything but time, memory and disk is requested: a device may bring variables, mounts and hooks. */
function requestsDevice({ claims, limits, requests }: JsonObject): boolean {
  const names = [...Object.keys(record(limits)), ...Object.keys(record(requests))];
  return list(claims).length > 0 || names.some((name) => !/^(?:cpu|memory|ephemeral-storage|hugepages-.*)$/.test(name));
}

/** With image and root as they are rendered now, where those that it has are accepted. */
function withAccepted(live: JsonObject, wanted: JsonObject, { imageDigests, isRoot }: Accepted): JsonObject {
  // The text, not the running image's id: the kubelet reports that late.
  const digest = digestOf(live['image']);
  const root = list(wanted['env']).find((variable) => record(variable)['name'] === rootVariable);
  const env = list(live['env']).map((variable) => {
    const { name, value } = record(variable);
    const isGood = name === rootVariable && typeof value === 'string' && isRoot(value);
    return isGood ? { ...record(variable), value: record(root)['value'] } : variable;
  });
  return { ...live, ...(imageDigests.has(digest) && { image: wanted['image'] }), env };
}

/** What an image is pinned to; '' where it is not. */
function digestOf(image: unknown): string {
  return /@(sha256:[0-9a-f]{64})$/.exec(String(image))?.[1] ?? '';
}
