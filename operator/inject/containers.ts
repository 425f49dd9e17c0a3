import { isRecord, type JsonRecord, list, pointer, record } from './json.ts';
import { proxyContainer } from './names.ts';
import type { Pod } from './types.ts';

/** A container of a Pod and where it stands. */
export interface PlacedContainer {
  readonly list: 'initContainers' | 'containers' | 'ephemeralContainers';
  readonly index: number;
  /** JSON Pointer. */
  readonly path: string;
  /** '' where it has none. */
  readonly name: string;
  readonly container: JsonRecord;
}

/** All containers of a Pod, in the order of its manifest. */
export function containersOf(pod: Pod): readonly PlacedContainer[] {
  const spec = record(pod['spec']);
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((kind) =>
    list(spec[kind]).map((each, index) => {
      const container = record(each);
      return { list: kind, index, path: pointer('spec', kind, index), name: String(container['name'] ?? ''), container };
    }),
  );
}

/** All but the proxy, wherever something of its name stands. */
export function otherContainers(pod: Pod): readonly PlacedContainer[] {
  return containersOf(pod).filter(({ name }) => name !== proxyContainer);
}

/** The init container of our name; undefined where there is none. */
export function proxyOf(pod: Pod): PlacedContainer | undefined {
  return containersOf(pod).find(({ list: kind, name }) => kind === 'initContainers' && name === proxyContainer);
}

/** The Pod's volumes, with their places; what is no object is left out. */
export function volumesOf(pod: Pod): readonly { readonly path: string; readonly volume: JsonRecord }[] {
  return list(record(pod['spec'])['volumes']).flatMap((volume, index) =>
    isRecord(volume) ? [{ path: pointer('spec', 'volumes', index), volume }] : [],
  );
}
