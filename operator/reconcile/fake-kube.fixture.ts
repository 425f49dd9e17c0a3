import { randomUUID } from 'node:crypto';
import {
  type JsonPatchOperation,
  type KubeClient,
  KubeError,
  type KubeObject,
  KubeUnreachable,
  type ObjectPlace,
  type Resource,
  type Scope,
  type WatchEvent,
} from '../kube/types.ts';

/** For tests: an API server in memory. Applied objects replace what the same manager applied, as far as our objects need. */
export interface FakeKube {
  readonly client: KubeClient;
  /** Writes since the last call, as `apply virtualkeys/status agents/bot`. Events are not among them. */
  writes(): readonly string[];
  /** Notes of all events. */
  events(): readonly string[];
  /** What a person does: creates, or changes what there is; a spec that differs is a new generation. */
  put(resource: Resource, object: KubeObject): KubeObject;
  read(resource: Resource, place: ObjectPlace): KubeObject | undefined;
  /** And, as the garbage collector does, what it owned. */
  drop(resource: Resource, place: ObjectPlace): void;
  /** Writes of Secrets of this name are refused from now on, with these words; null: no more. */
  refuseSecret(name: string, refusal: { readonly status: number; readonly words: string } | null): void;
  /** Everything fails from now on, or works again. */
  setAway(away: boolean): void;
}

interface Watcher {
  readonly resource: Resource;
  readonly scope: Scope;
  readonly tell: (event: WatchEvent) => void;
}

/** An empty cluster. */
export function createFakeKube(): FakeKube {
  const objects = new Map<string, KubeObject>();
  const watchers = new Set<Watcher>();
  let version = 0;
  let away = false;
  let writes: string[] = [];
  const refused = new Map<string, { readonly status: number; readonly words: string }>();

  const id = (resource: Resource, { namespace, name }: ObjectPlace) => `${resource.plural} ${namespace ?? ''}/${name}`;
  const refuse = (status: number, reason: string): never => {
    throw new KubeError(status, reason, `the fake says ${reason}`);
  };
  const reach = () => {
    if (away) throw new KubeUnreachable('the fake is away');
  };

  function store(resource: Resource, object: KubeObject): KubeObject {
    const before = objects.get(id(resource, object.metadata));
    version += 1;
    const isNew = before === undefined || JSON.stringify(before['spec']) !== JSON.stringify(object['spec']);
    const generation = (before?.metadata.generation ?? 0) + (isNew ? 1 : 0);
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? randomUUID(),
      resourceVersion: String(version),
      generation,
      creationTimestamp: '2026-01-01T00:00:00Z',
    };
    const stored = { apiVersion: `${resource.group}/${resource.version}`.replace(/^\//, ''), kind: resource.kind, ...object, metadata };
    objects.set(id(resource, metadata), stored);
    tell(resource, { type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored });
    return stored;
  }

  function tell(resource: Resource, event: WatchEvent): void {
    for (const watcher of watchers) {
      if (watcher.resource.plural !== resource.plural || event.type === 'ERROR') continue;
      if (isIn(event.object, watcher.scope)) watcher.tell({ ...event, object: seen(event.object, watcher.scope) });
    }
  }

  function drop(resource: Resource, place: ObjectPlace): boolean {
    const gone = objects.get(id(resource, place));
    if (gone === undefined) return false;
    objects.delete(id(resource, place));
    version += 1;
    tell(resource, { type: 'DELETED', object: { ...gone, metadata: { ...gone.metadata, resourceVersion: String(version) } } });
    return true;
  }

  function write(verb: string, resource: Resource, place: ObjectPlace): void {
    reach();
    if (resource.plural !== 'events') writes.push(`${verb} ${resource.plural} ${place.namespace ?? ''}/${place.name}`);
    const refusal = resource.plural === 'secrets' ? refused.get(place.name) : undefined;
    if (refusal !== undefined) throw new KubeError(refusal.status, 'Forbidden', refusal.words);
  }

  const client: KubeClient = {
    async get(resource, place) {
      reach();
      return objects.get(id(resource, place)) ?? null;
    },
    async list(resource, scope) {
      reach();
      const items = [...objects].filter(([key, object]) => key.startsWith(`${resource.plural} `) && isIn(object, scope));
      return { items: items.map(([, object]) => seen(object, scope)), resourceVersion: String(version) };
    },
    async create(resource, object) {
      write('create', resource, object.metadata);
      if (objects.has(id(resource, object.metadata))) refuse(409, 'AlreadyExists');
      return store(resource, object);
    },
    async replace(resource, object) {
      write('replace', resource, object.metadata);
      return store(resource, object);
    },
    async apply(resource, object, subresource) {
      write(subresource === undefined ? 'apply' : `apply/${subresource}`, resource, object.metadata);
      const before = objects.get(id(resource, object.metadata));
      const { uid } = object.metadata;
      if (uid !== undefined && uid !== before?.metadata.uid) refuse(409, 'Conflict');
      if (subresource === 'status') {
        if (before === undefined) return refuse(404, 'NotFound');
        return JSON.stringify(before['status']) === JSON.stringify(object['status'])
          ? before
          : store(resource, { ...before, status: object['status'] });
      }
      return store(resource, { ...before, ...object, metadata: { ...before?.metadata, ...object.metadata } });
    },
    async patch(resource, place, operations) {
      write('patch', resource, place);
      const before = objects.get(id(resource, place)) ?? refuse(404, 'NotFound');
      return store(resource, patched(before, operations));
    },
    async remove(resource, place, precondition) {
      write('remove', resource, place);
      const before = objects.get(id(resource, place));
      if (before !== undefined && precondition !== undefined && precondition.uid !== before.metadata.uid) refuse(409, 'Conflict');
      return drop(resource, place);
    },
    async *watch(resource, scope, signal) {
      reach();
      const waiting: WatchEvent[] = [];
      let wake = Promise.withResolvers<void>();
      const watcher: Watcher = {
        resource,
        scope,
        tell(event) {
          waiting.push(event);
          wake.resolve();
        },
      };
      watchers.add(watcher);
      signal.addEventListener('abort', () => wake.resolve());
      try {
        while (!signal.aborted) {
          for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) yield event;
          if (signal.aborted) return;
          wake = Promise.withResolvers<void>();
          await wake.promise;
        }
      } finally {
        watchers.delete(watcher);
      }
    },
    version: async () => ({ major: 1, minor: 37, gitVersion: 'v1.37.1' }),
    close: async () => {},
  };

  return {
    client,
    writes() {
      const told = writes;
      writes = [];
      return told;
    },
    events: () => [...objects].filter(([key]) => key.startsWith('events ')).map(([, { note }]) => String(note)),
    put(resource, object) {
      const before = objects.get(id(resource, object.metadata));
      return store(resource, { ...before, ...object, metadata: { ...before?.metadata, ...object.metadata } });
    },
    read: (resource, place) => objects.get(id(resource, place)),
    drop: (resource, place) => void drop(resource, place),
    refuseSecret(name, refusal) {
      if (refusal === null) refused.delete(name);
      else refused.set(name, refusal);
    },
    setAway(now) {
      away = now;
    },
  };
}

function isIn({ metadata }: KubeObject, { namespace, labelSelector = '' }: Scope): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  return labelSelector.split(',').every((term) => {
    const [label = '', value] = term.split('=');
    const held = metadata.labels?.[label];
    return label === '' || (value === undefined ? held !== undefined : held === value);
  });
}

function seen(object: KubeObject, { content }: Scope): KubeObject {
  const { apiVersion = '', kind = '', metadata } = object;
  return content === 'metadata' ? { apiVersion, kind, metadata } : object;
}

/** Whole fields of the object or of its metadata; `test` always holds. */
function patched(object: KubeObject, operations: readonly JsonPatchOperation[]): KubeObject {
  const values = operations.flatMap((operation) => (operation.op === 'add' || operation.op === 'replace' ? [operation] : []));
  const [deep, shallow] = [true, false].map((isDeep) =>
    Object.fromEntries(
      values.flatMap(({ path, value }) => {
        const [, first = '', second] = path.split('/');
        return (second !== undefined) === isDeep ? [[second ?? first, value]] : [];
      }),
    ),
  );
  return { ...object, ...shallow, metadata: { ...object.metadata, ...deep } };
}
