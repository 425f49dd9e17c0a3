import { canonicalize } from '../../core/audit/canonical.ts';
import { type Condition, setCondition } from '../kube/conditions.ts';
import type { KubeClient, KubeObject, Resource } from '../kube/types.ts';
import type { Stated } from './virtual-key/status.ts';

/** Writes that the cache may be behind. */
const mostBehind = 8;

/** Writes the status of one kind, and only where it differs. */
export interface StatusWriter {
  /** The object as far as we know it: what the API server answered to our last write, where the cache has not seen that yet. */
  latest(object: KubeObject): KubeObject;
  /** True where it was written. `status` is whole: fields of ours that it lacks are removed. */
  write(object: KubeObject, status: Readonly<Record<string, unknown>>): Promise<boolean>;
  /** True of what our own last write made of an object: nothing in it is news. */
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
          // The uid: what was decided for one life of the object is not written to the next.
          metadata: { name, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }) },
          status,
        },
        'status',
      );
      const { resourceVersion } = object.metadata;
      const last = written.get(uid ?? '');
      const follows = last !== undefined && (last.before.has(resourceVersion) || last.after.metadata.resourceVersion === resourceVersion);
      const before = [...(follows ? [...last.before, last.after.metadata.resourceVersion] : []), resourceVersion];
      const older = before.filter((version) => version !== after.metadata.resourceVersion);
      written.set(uid ?? '', { before: new Set(older.slice(-mostBehind)), after });
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
export function statusOf(object: KubeObject): Readonly<Record<string, unknown>> {
  const { status } = object;
  return typeof status === 'object' && status !== null ? (status as Record<string, unknown>) : {};
}

/** Our conditions, each with the time since when it stands. */
export function conditionsFor(object: KubeObject, stated: readonly Stated[], nowMs: number): readonly Condition[] {
  const held = statusOf(object)['conditions'];
  const types = new Set(stated.map(({ type }) => type));
  const ours = (Array.isArray(held) ? (held as readonly Condition[]) : []).filter(({ type }) => types.has(type));
  const { generation } = object.metadata;
  return stated.reduce<readonly Condition[]>(
    (conditions, next) =>
      setCondition(conditions, { ...next, ...(generation !== undefined && { observedGeneration: generation }) }, stampOf(nowMs)),
    ours,
  );
}

/** RFC 3339 in whole seconds, as `metav1.Time` keeps it. */
function stampOf(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
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
