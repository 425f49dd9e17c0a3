import { canonicalize } from '../../core/audit/canonical.ts';
import { defined, isObject, type JsonObject } from '../../core/json.ts';
import type { KubeClient, KubeObject, Resource } from '../kube/types.ts';

/** Maximum of our own writes that the cache may not have seen yet. */
const maxBehind = 8;

/** Writes the status of one kind, only if it differs. */
export interface StatusWriter {
  /** The newest known version of the object: the API server's answer to our last write, until the cache has seen that. */
  latest(object: KubeObject): KubeObject;
  /** Writes `status` and removes our fields that it lacks. True if it was written. */
  write(object: KubeObject, status: JsonObject): Promise<boolean>;
  /** True for the version that our own last write made, which contains nothing new. */
  isOwn(object: KubeObject): boolean;
  /** Forgets a deleted object. */
  forget(uid: string): void;
}

/** Makes a writer over server-side apply. `fields`: every field that our status may have; it ignores others. */
export function createStatusWriter(client: Pick<KubeClient, 'apply'>, resource: Resource, fields: readonly string[]): StatusWriter {
  /** By uid: the result of the last write, and the older versions that the cache may still show. */
  const written = new Map<string, { readonly before: ReadonlySet<string | undefined>; readonly after: KubeObject }>();

  function latest(object: KubeObject): KubeObject {
    const last = written.get(object.metadata.uid ?? '');
    return last?.before.has(object.metadata.resourceVersion) ? last.after : object;
  }

  return {
    latest,
    async write(object, status) {
      const { name, namespace, uid } = object.metadata;
      const now = statusOf(latest(object));
      if (fields.every((field) => sameField(now[field], status[field]))) return false;
      const after = await client.apply(
        resource,
        {
          apiVersion: `${resource.group}/${resource.version}`,
          kind: resource.kind,
          // The uid, so that a decision for one object is not written to a later object of its name.
          metadata: { name, ...defined({ namespace, uid }) },
          status,
        },
        'status',
      );
      const { resourceVersion } = object.metadata;
      const last = written.get(uid ?? '');
      const follows = last !== undefined && (last.before.has(resourceVersion) || last.after.metadata.resourceVersion === resourceVersion);
      const before = [...(follows ? [...last.before, last.after.metadata.resourceVersion] : []), resourceVersion];
      const older = before.filter((version) => version !== after.metadata.resourceVersion);
      written.set(uid ?? '', { before: new Set(older.slice(-maxBehind)), after });
      return true;
    },
    isOwn({ metadata }) {
      const last = written.get(metadata.uid ?? '');
      return last !== undefined && last.after.metadata.resourceVersion === metadata.resourceVersion;
    },
    forget: (uid) => void written.delete(uid),
  };
}

/** The status of an object, as plain fields. */
export function statusOf({ status }: KubeObject): JsonObject {
  return isObject(status) ? status : {};
}

function sameField(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalize(byType(a)) === canonicalize(byType(b));
}

// Conditions are a map by type: their order, and others' conditions, do not matter.
function byType(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return [...(value as readonly { readonly type?: string; readonly name?: string }[])].sort((a, b) =>
    String(a.type ?? a.name) < String(b.type ?? b.name) ? -1 : 1,
  );
}
