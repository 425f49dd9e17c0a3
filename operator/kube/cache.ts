import type { KubeObject, ObjectPlace } from './types.ts';

/** What a reflector knows; reports each difference once. */
export interface Cache {
  get(place: ObjectPlace): KubeObject | undefined;
  all(): readonly KubeObject[];
  /** The resourceVersion up to which everything is known. */
  version(): string;
  /** Whether something of this resourceVersion may be unknown. */
  isBehind(version: string): boolean;
  /** Takes a complete list in: what it lacks is gone. */
  replace(objects: readonly KubeObject[], version: string): void;
  /** Takes one event of a watch in; drops one that is not newer than what is known, so that doubled and late events do no harm. */
  take(type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK', object: KubeObject): void;
}

/** `report` must not throw. */
export function createCache(report: (kind: 'put' | 'gone', object: KubeObject, previous: KubeObject | undefined) => void): Cache {
  const objects = new Map<string, KubeObject>();
  let known = '';

  function put(key: string, object: KubeObject): void {
    // The same name, another object: a list shows no deletion between the two.
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

/** Of one kind they are decimal and grow (KEP-5504). Where another server's are not decimal, the order of arrival counts. */
function isNewer(version: string, than: string): boolean {
  if (!/^[0-9]+$/.test(version) || !/^[0-9]+$/.test(than)) return version !== than;
  return version.length === than.length ? version > than : version.length > than.length;
}
