import { containersOf, proxyOf, volumesOf } from './containers.ts';
import { hazards } from './hazards.ts';
import { differences, type JsonRecord, list, record } from './json.ts';
import { proxyContainer } from './names.ts';
import { renderProxy, rootVariable } from './render.ts';
import type { Pod, RenderedProxy, RenderSettings } from './types.ts';

/** What is still good in a proxy that was injected before the settings were what they are. */
export interface Accepted {
  /** `sha256:…`: an image pinned to one of these is good, whatever registry it is from. */
  readonly imageDigests: ReadonlySet<string>;
  /** True for the PEM of roots under which the operator's certificates are, or were, issued. */
  readonly isRoot: (pem: string) => boolean;
}

/**
 * Paths (JSON Pointers into the live Pod, never values) of everything by which a Pod is not what we rendered; empty: exactly
 * ours. Without `accepted`, image and root are those of `settings` alone.
 */
export function drift(pod: Pod, settings: RenderSettings, accepted?: Accepted): readonly string[] {
  const rendered = renderProxy(settings);
  const proxy = proxyOf(pod)?.path;
  // The API server lets no two containers have one name; here nothing hangs on that.
  const doubles = containersOf(pod).filter(({ name, path }) => name === proxyContainer && path !== proxy);
  return [
    ...containerDrift(pod, rendered, accepted),
    ...doubles.map(({ path }) => path),
    ...volumeDrift(pod, rendered),
    ...hazards(pod).map(({ path }) => path),
  ];
}

/** The same for the proxy's container alone, its place included. */
export function containerDrift(pod: Pod, rendered: RenderedProxy, accepted?: Accepted): readonly string[] {
  const placed = proxyOf(pod);
  if (placed === undefined) return ['/spec/initContainers'];
  const misplaced = placed.index === 0 ? [] : [placed.path];
  const live = settled(
    accepted === undefined ? placed.container : renewed(placed.container, rendered.container, accepted),
    rendered.container,
  );
  return [...misplaced, ...differences(live, rendered.container, placed.path)];
}

/** The same for its volumes. */
export function volumeDrift(pod: Pod, rendered: RenderedProxy): readonly string[] {
  const volumes = volumesOf(pod);
  return rendered.volumes.flatMap((wanted) => {
    const live = volumes.find(({ volume }) => volume['name'] === wanted['name']);
    return live === undefined ? ['/spec/volumes'] : differences(live.volume, wanted, live.path);
  });
}

/** Without what the cluster's own parts may rightly change in any container, and what gives nobody a hold on the proxy. */
function settled(live: JsonRecord, wanted: JsonRecord): JsonRecord {
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
    ...(!asksForDevice(record(container['resources'])) && { resources: wanted['resources'] }),
    // Written as a default by some versions.
    ...(procMount === 'Default' && { securityContext: withoutProcMount }),
  };
}

/** True where anything but time, memory and disk is asked for: a device may bring variables, mounts and hooks. */
function asksForDevice({ claims, limits, requests }: JsonRecord): boolean {
  const names = [...Object.keys(record(limits)), ...Object.keys(record(requests))];
  return list(claims).length > 0 || names.some((name) => !/^(?:cpu|memory|ephemeral-storage|hugepages-.*)$/.test(name));
}

/** With image and root as they are rendered now, where those that it has are accepted. */
function renewed(live: JsonRecord, wanted: JsonRecord, { imageDigests, isRoot }: Accepted): JsonRecord {
  // As text, too: what runs is reported late, what was asked for is known at once.
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
