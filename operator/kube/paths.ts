import { KubeError, type ObjectPlace, type Resource } from './types.ts';

/** `/api/v1/namespaces/a/secrets`: the kind's collection; without a namespace, that of the whole cluster. */
export function collectionPath({ group, version, plural, namespaced }: Resource, namespace: string | undefined): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespaced && namespace !== undefined ? `${root}/namespaces/${segment(namespace)}/${plural}` : `${root}/${plural}`;
}

/** Throws where a namespaced kind has no namespace: a mistake of the caller, not of a user. */
export function objectPath(resource: Resource, { namespace, name }: ObjectPlace): string {
  return `${writePath(resource, namespace)}/${segment(name)}`;
}

/** The collection that an object is created in. */
export function writePath(resource: Resource, namespace: string | undefined): string {
  if (resource.namespaced && namespace === undefined) throw new TypeError(`${resource.kind}: a namespace is needed`);
  return collectionPath(resource, namespace);
}

/**
 * Names come from other people's manifests: `..`, `/` and `%` in one would address another object. The API server's own rule
 * for path segments; refused as it would refuse them.
 */
function segment(name: string): string {
  if (name === '' || name.length > 253 || name === '.' || name === '..' || /[/%]/.test(name)) {
    throw new KubeError(400, 'InvalidName', `${JSON.stringify(name.slice(0, 80))} is not a name of an object`);
  }
  return encodeURIComponent(name);
}
