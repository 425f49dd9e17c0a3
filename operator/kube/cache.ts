import type { KubeObject, ObjectPlace } from './types.ts';

/** The objects of a reflector. It reports each difference once. */
export interface Cache {
  get(place: ObjectPlace): KubeObject | undefined;
  all(): readonly KubeObject[];
  /** The resourceVersion up to which the cache is complete. */
  version(): string;
  /** True if the cache may lack something of this resourceVersion. */
  isBehind(version: string): boolean;
  /** Replaces the content with a complete list: objects that it lacks are gone. */
  replace(objects: readonly KubeObject[], version: string): void;
  /** Applies one event of a watch. It drops an event that is not newer than the cache, so that repeated and late events do no harm. */
  take(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: KubeObject): void;
}

/** `report` must not throw. */
export function createCache(report: (kind: 'put' | 'gone', object: KubeObject, previous: KubeObject | undefined) => void): Cache {
  const objects = new Map<string, KubeObject>();
  let known = '';

  function put(key: string, object: KubeObject): void {
    // The same name but another object: a list shows no deletion between the two.
    if (objects.get(key)?.metadata.uid !== object.metadata.uid) drop(key);
    const previous = objects.get(key);
    if (previous !== undefined && previous.metadata.resourceVersion === object.metadata.resourceVersion) return;
    objects.set(key, object);
    report('put', object, previous);
  }

  function drop(key: string, last?: KubeObject): void {
    const previous = objects.get(key);
    if (previous === undefined) return;
    objects.delete(key);
    report('gone', last ?? previous, previous);
  }

  return {
    get: (place) => objects.get(keyOf(place)),
    all: () => [...objects.values()],
    version: () => known,
    isBehind: (version) => isNewer(version, known),
    replace(listed, version) {
      known = version;
      const keys = new Set(listed.map(({ metadata }) => keyOf(metadata)));
      for (const key of [...objects.keys()]) if (!keys.has(key)) drop(key);
      for (const object of listed) put(keyOf(object.metadata), object);
    },
    take(type, object) {
      const version = object.metadata.resourceVersion ?? '';
      if (!isNewer(version, known)) return;
      known = version;
      if (type === 'DELETED') drop(keyOf(object.metadata), object);
      else if (type !== 'BOOKMARK') put(keyOf(object.metadata), object);
    },
  };
}

function keyOf({ namespace = '', name }: ObjectPlace): string {
  return `${namespace}/${name}`;
}

/** Compares resourceVersions. Within a kind they are decimal and grow (KEP-5504); if a server's are not decimal, the order of arrival counts. */
function isNewer(version: string, than: string): boolean {
  if (!/^[0-9]+$/.test(version) || !/^[0-9]+$/.test(than)) return version !== than;
  return version.length === than.length ? version > than : version.length > than.length;
}
