import type { JsonObject } from '../../core/json.ts';
import { hazards } from './hazards.ts';
import { differences, list, record } from './json.ts';
import { proxyContainer } from './names.ts';
import { type PodView, viewOf } from './pod-view.ts';
import { renderProxy, rootVariable } from './render.ts';
import type { Pod, RenderedProxy, RenderSettings } from './types.ts';

/** The values of earlier settings that remain valid in an injected proxy. */
interface Accepted {
  /** `sha256:…`: an image pinned to one of these is valid, from any registry. */
  readonly imageDigests: ReadonlySet<string>;
  /** True for the PEM of roots that issue, or once issued, the operator's certificates. */
  readonly isRoot: (pem: string) => boolean;
}

/**
 * Paths (JSON Pointers into the live Pod, never values) at which a Pod differs from what we rendered; empty: no difference.
 * Without `accepted`, only the image and root of `settings` are valid.
 */
export function drift(pod: Pod, settings: RenderSettings, accepted?: Accepted): readonly string[] {
  const view = viewOf(pod);
  const rendered = renderProxy(settings);
  // The API server rejects two containers of one name, but this code does not rely on it.
  const doubles = view.containers.filter(({ name, path }) => name === proxyContainer && path !== view.proxy?.path);
  return [
    ...containerDrift(view, rendered, accepted),
    ...doubles.map(({ path }) => path),
    ...compareVolumes(view, rendered).flatMap((volume) => volume.drift),
    ...hazards(view).map(({ path }) => path),
  ];
}

/** The same for the proxy's container alone, position included. */
export function containerDrift({ proxy }: PodView, rendered: RenderedProxy, accepted?: Accepted): readonly string[] {
  if (proxy === undefined) return ['/spec/initContainers'];
  const misplaced = proxy.index === 0 ? [] : [proxy.path];
  const renewed = accepted === undefined ? proxy.container : withAccepted(proxy.container, rendered.container, accepted);
  const live = settled(renewed, rendered.container);
  return [...misplaced, ...differences(live, rendered.container, proxy.path)];
}

/** One of the proxy's volumes, and the Pod's volume of that name. */
export interface ComparedVolume {
  readonly rendered: RenderedProxy['volumes'][number];
  /** Its path in the Pod; undefined if the Pod has none. */
  readonly path: string | undefined;
  /** The same as `drift`, for this volume. */
  readonly drift: readonly string[];
}

/** The proxy's volumes, each with the Pod's volume of that name. */
export function compareVolumes({ volumes }: PodView, { volumes: wanted }: RenderedProxy): readonly ComparedVolume[] {
  return wanted.map((rendered) => {
    const live = volumes.find(({ volume }) => volume['name'] === rendered['name']);
    const path = live?.path;
    return { rendered, path, drift: live === undefined ? ['/spec/volumes'] : differences(live.volume, rendered, live.path) };
  });
}

/** Ignores changes that the cluster itself may make in any container and that give nobody control of the proxy. */
function settled(live: JsonObject, wanted: JsonObject): JsonObject {
  const { resizePolicy: _, ...container } = live;
  const security = record(container['securityContext']);
  const { procMount, ...withoutProcMount } = security;
  const digest = digestOf(container['image']);
  return {
    ...container,
    // Mirrors and digest resolvers rename images: the content is the same.
    ...(digest !== '' && digest === digestOf(wanted['image']) && { image: wanted['image'] }),
    // The AlwaysPullImages admission plugin.
    ...(container['imagePullPolicy'] === 'Always' && { imagePullPolicy: wanted['imagePullPolicy'] }),
    // LimitRange, vertical autoscaler, resize in place.
    ...(!requestsDevice(record(container['resources'])) && { resources: wanted['resources'] }),
    // Some versions write it as a default.
    ...(procMount === 'Default' && { securityContext: withoutProcMount }),
  };
}

/** True if anything but CPU, memory and disk is requested: a device may add variables, mounts and hooks. */
function requestsDevice({ claims, limits, requests }: JsonObject): boolean {
  const names = [...Object.keys(record(limits)), ...Object.keys(record(requests))];
  return list(claims).length > 0 || names.some((name) => !/^(?:cpu|memory|ephemeral-storage|hugepages-.*)$/.test(name));
}

/** Replaces an accepted image and root with those that are rendered now. */
function withAccepted(live: JsonObject, wanted: JsonObject, { imageDigests, isRoot }: Accepted): JsonObject {
  // Use the text, not the running image's id, because the kubelet reports that late.
  const digest = digestOf(live['image']);
  const root = list(wanted['env']).find((variable) => record(variable)['name'] === rootVariable);
  const env = list(live['env']).map((variable) => {
    const { name, value } = record(variable);
    const isGood = name === rootVariable && typeof value === 'string' && isRoot(value);
    return isGood ? { ...record(variable), value: record(root)['value'] } : variable;
  });
  return { ...live, ...(imageDigests.has(digest) && { image: wanted['image'] }), env };
}

/** The digest to which an image is pinned; '' if it is not pinned. */
function digestOf(image: unknown): string {
  return /@(sha256:[0-9a-f]{64})$/.exec(String(image))?.[1] ?? '';
}
