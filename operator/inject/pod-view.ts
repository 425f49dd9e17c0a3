import { isObject, type JsonObject } from '../../core/json.ts';
import { list, pointer, record } from './json.ts';
import { injectedAnnotation, injectLabel, proxyContainer, virtualKeyAnnotation } from './names.ts';
import type { Pod } from './types.ts';

/** The parts of a Pod that injection and attestation read. */
export interface PodView {
  /** As `optedIn`. */
  readonly isOptedIn: boolean;
  /** True if it has the injector's mark. Only a hint: anybody may set it. */
  readonly isMarked: boolean;
  /** As `namedKey`. */
  readonly virtualKey: string | null;
  readonly spec: JsonObject;
  /** All, in the order of the manifest. */
  readonly containers: readonly PlacedContainer[];
  /** All containers without the proxy's name. */
  readonly others: readonly PlacedContainer[];
  /** The init container of the proxy's name. */
  readonly proxy: PlacedContainer | undefined;
  /** Volumes that are objects. */
  readonly volumes: readonly PlacedVolume[];
}

/** A container and its place in the Pod. */
export interface PlacedContainer {
  readonly list: 'initContainers' | 'containers' | 'ephemeralContainers';
  readonly index: number;
  /** JSON Pointer. */
  readonly path: string;
  /** '' if it has none. */
  readonly name: string;
  readonly container: JsonObject;
}

/** A volume and its place in the Pod. */
export interface PlacedVolume {
  /** JSON Pointer. */
  readonly path: string;
  readonly volume: JsonObject;
}

/** Takes a Pod apart. */
export function viewOf(pod: Pod): PodView {
  const spec = record(pod['spec']);
  const containers = containersOf(spec);
  return {
    isOptedIn: optedIn(pod),
    isMarked: annotation(pod, injectedAnnotation) === 'true',
    virtualKey: namedKey(pod),
    spec,
    containers,
    others: containers.filter(({ name }) => name !== proxyContainer),
    proxy: containers.find(({ list: kind, name }) => kind === 'initContainers' && name === proxyContainer),
    volumes: list(spec['volumes']).flatMap((volume, index) =>
      isObject(volume) ? [{ path: pointer('spec', 'volumes', index), volume }] : [],
    ),
  };
}

/** True if the Pod's label requests a proxy. */
export function optedIn(pod: Pod): boolean {
  return record(pod.metadata?.labels)[injectLabel] === 'true';
}

/** The VirtualKey that the Pod names; null if the annotation is absent or cannot name an object. */
export function namedKey(pod: Pod): string | null {
  const name = annotation(pod, virtualKeyAnnotation);
  // It becomes part of a URL, so only an object's name (RFC 1123 subdomain) may pass.
  return typeof name === 'string' && name.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) ? name : null;
}

function annotation(pod: Pod, name: string): unknown {
  return record(pod.metadata?.annotations)[name];
}

function containersOf(spec: JsonObject): readonly PlacedContainer[] {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((kind) =>
    list(spec[kind]).map((each, index) => {
      const container = record(each);
      return { list: kind, index, path: pointer('spec', kind, index), name: String(container['name'] ?? ''), container };
    }),
  );
}
