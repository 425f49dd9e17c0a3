import { canonicalize } from '../../core/audit/canonical.ts';
import { defined, isObject, type JsonObject } from '../../core/json.ts';
import type { KubeClient, KubeObject, Resource } from '../kube/types.ts';

/** Writes that the cache may not have seen yet, at most. */
const maxBehind = 8;

/** Writes the status of one kind, and only where it differs. */
export interface StatusWriter {
  /** The newest known version of the object: the API server's answer to our last write, where the cache has not seen that yet. */
  latest(object: KubeObject): KubeObject;
  /** True where it was written. `status` is whole: fields of ours that it lacks are removed. */
  write(object: KubeObject, status: JsonObject): Promise<boolean>;
  /** True for the version that our own last write made: it holds nothing new. */
  isOwn(object: KubeObject): boolean;
  /** Forgets an object that is gone. */
  forget(uid: string): void;
}

/** A writer over server-side apply. `fields`: every field that our status may have; others are not ours to compare. */
export function createStatusWriter(client: Pick<KubeClient, 'apply'>, resource: Resource, fields: readonly string[]): StatusWriter {
  /** By uid: what the last write made, and the versions that the cache may still show instead. */
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
          // The uid: what was decided for one life of the object is not written to the next one.
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

// Conditions are a map by type: their order, and those of others, mean nothing.
function byType(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return [...(value as readonly { readonly type?: string; readonly name?: string }[])].sort((a, b) =>
    String(a.type ?? a.name) < String(b.type ?? b.name) ? -1 : 1,
  );
}
