import { KubeError, type ObjectPlace, type Resource } from './types.ts';

/** The path of a kind's collection: `/api/v1/namespaces/a/secrets`; without a namespace, that of the whole cluster. */
export function collectionPath({ group, version, plural, namespaced }: Resource, namespace: string | undefined): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespaced && namespace !== undefined ? `${root}/namespaces/${segment(namespace)}/${plural}` : `${root}/${plural}`;
}

/** The path of an object. Throws if a namespaced kind has no namespace, which is a mistake of the caller. */
export function objectPath(resource: Resource, { namespace, name }: ObjectPlace): string {
  return `${writePath(resource, namespace)}/${segment(name)}`;
}

/** The path of the collection in which an object is created. */
export function writePath(resource: Resource, namespace: string | undefined): string {
  if (resource.namespaced && namespace === undefined) throw new TypeError(`${resource.kind}: a namespace is needed`);
  return collectionPath(resource, namespace);
}

/**
 * Checks a name for a path by the API server's own rule, and rejects as it would. Names come from other people's manifests:
 * `..`, `/` or `%` in one would address another object.
 */
function segment(name: string): string {
  if (name === '' || name.length > 253 || name === '.' || name === '..' || /[/%]/.test(name)) {
    throw new KubeError(400, 'InvalidName', `${JSON.stringify(name.slice(0, 80))} is not a name of an object`);
  }
  return encodeURIComponent(name);
}
