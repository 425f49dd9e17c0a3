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
  /** Creates or changes an object, as a person does. A different spec is a new generation. */
  put(resource: Resource, object: KubeObject): KubeObject;
  read(resource: Resource, place: ObjectPlace): KubeObject | undefined;
  /** Deletes an object and, as the garbage collector does, what it owned. */
  drop(resource: Resource, place: ObjectPlace): void;
  /** Refuses writes of Secrets of this name from now on, with these words; null: accepts them again. */
  refuseSecret(name: string, refusal: { readonly status: number; readonly words: string } | null): void;
  /** Makes every request fail, or work again. */
  setAway(away: boolean): void;
}

interface Watcher {
  readonly resource: Resource;
  readonly scope: Scope;
  readonly notify: (event: WatchEvent) => void;
}

/** An empty cluster. */
export function createFakeKube(): FakeKube {
  return new FakeCluster();
}

class FakeCluster implements FakeKube {
  readonly client: KubeClient;
  readonly #objects = new Map<string, KubeObject>();
  readonly #watchers = new Set<Watcher>();
  readonly #refusals = new Map<string, { readonly status: number; readonly words: string }>();
  #version = 0;
  #isAway = false;
  #writes: string[] = [];

  constructor() {
    this.client = {
      get: async (resource, place) => {
        this.#reach();
        return this.#objects.get(idOf(resource, place)) ?? null;
      },
      list: async (resource, scope) => {
        this.#reach();
        const items = [...this.#objects].filter(([id, object]) => id.startsWith(`${resource.plural} `) && isIn(object, scope));
        return { items: items.map(([, object]) => seen(object, scope)), resourceVersion: String(this.#version) };
      },
      create: async (resource, object) => {
        this.#write('create', resource, object.metadata);
        if (this.#objects.has(idOf(resource, object.metadata))) refuse(409, 'AlreadyExists');
        return this.#store(resource, object);
      },
      replace: async (resource, object) => {
        this.#write('replace', resource, object.metadata);
        return this.#store(resource, object);
      },
      apply: async (resource, object, subresource) => this.#apply(resource, object, subresource),
      patch: async (resource, place, operations) => {
        this.#write('patch', resource, place);
        const before = this.#objects.get(idOf(resource, place)) ?? refuse(404, 'NotFound');
        return this.#store(resource, patched(before, operations));
      },
      remove: async (resource, place, precondition) => {
        this.#write('remove', resource, place);
        const before = this.#objects.get(idOf(resource, place));
        if (before !== undefined && precondition !== undefined && precondition.uid !== before.metadata.uid) refuse(409, 'Conflict');
        return this.#delete(resource, place);
      },
      watch: (resource, scope, signal) => this.#watch(resource, scope, signal),
      version: async () => ({ major: 1, minor: 37, gitVersion: 'v1.37.1' }),
      close: async () => {},
    };
  }

  writes(): readonly string[] {
    const since = this.#writes;
    this.#writes = [];
    return since;
  }

  events(): readonly string[] {
    return [...this.#objects].filter(([id]) => id.startsWith('events ')).map(([, { note }]) => String(note));
  }

  put(resource: Resource, object: KubeObject): KubeObject {
    const before = this.#objects.get(idOf(resource, object.metadata));
    return this.#store(resource, { ...before, ...object, metadata: { ...before?.metadata, ...object.metadata } });
  }

  read(resource: Resource, place: ObjectPlace): KubeObject | undefined {
    return this.#objects.get(idOf(resource, place));
  }

  drop(resource: Resource, place: ObjectPlace): void {
    this.#delete(resource, place);
  }

  refuseSecret(name: string, refusal: { readonly status: number; readonly words: string } | null): void {
    if (refusal === null) this.#refusals.delete(name);
    else this.#refusals.set(name, refusal);
  }

  setAway(away: boolean): void {
    this.#isAway = away;
  }

  #reach(): void {
    if (this.#isAway) throw new KubeUnreachable('the fake is away');
  }

  #write(verb: string, resource: Resource, place: ObjectPlace): void {
    this.#reach();
    if (resource.plural !== 'events') this.#writes.push(`${verb} ${resource.plural} ${place.namespace ?? ''}/${place.name}`);
    const refusal = resource.plural === 'secrets' ? this.#refusals.get(place.name) : undefined;
    if (refusal !== undefined) throw new KubeError(refusal.status, 'Forbidden', refusal.words);
  }

  #store(resource: Resource, object: KubeObject): KubeObject {
    const before = this.#objects.get(idOf(resource, object.metadata));
    this.#version += 1;
    const isNew = before === undefined || JSON.stringify(before['spec']) !== JSON.stringify(object['spec']);
    const generation = (before?.metadata.generation ?? 0) + (isNew ? 1 : 0);
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? randomUUID(),
      resourceVersion: String(this.#version),
      generation,
      creationTimestamp: '2026-01-01T00:00:00Z',
    };
    const stored = { apiVersion: `${resource.group}/${resource.version}`.replace(/^\//, ''), kind: resource.kind, ...object, metadata };
    this.#objects.set(idOf(resource, metadata), stored);
    this.#notify(resource, { type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored });
    return stored;
  }

  #apply(resource: Resource, object: KubeObject, subresource: 'status' | undefined): KubeObject {
    this.#write(subresource === undefined ? 'apply' : `apply/${subresource}`, resource, object.metadata);
    const before = this.#objects.get(idOf(resource, object.metadata));
    const { uid } = object.metadata;
    if (uid !== undefined && uid !== before?.metadata.uid) refuse(409, 'Conflict');
    if (subresource === 'status') {
      if (before === undefined) return refuse(404, 'NotFound');
      return JSON.stringify(before['status']) === JSON.stringify(object['status'])
        ? before
        : this.#store(resource, { ...before, status: object['status'] });
    }
    return this.#store(resource, { ...before, ...object, metadata: { ...before?.metadata, ...object.metadata } });
  }

  #delete(resource: Resource, place: ObjectPlace): boolean {
    const gone = this.#objects.get(idOf(resource, place));
    if (gone === undefined) return false;
    this.#objects.delete(idOf(resource, place));
    this.#version += 1;
    const metadata = { ...gone.metadata, resourceVersion: String(this.#version) };
    this.#notify(resource, { type: 'DELETED', object: { ...gone, metadata } });
    return true;
  }

  #notify(resource: Resource, event: WatchEvent): void {
    for (const watcher of this.#watchers) {
      if (watcher.resource.plural !== resource.plural || event.type === 'ERROR') continue;
      if (isIn(event.object, watcher.scope)) watcher.notify({ ...event, object: seen(event.object, watcher.scope) });
    }
  }

  async *#watch(resource: Resource, scope: Scope, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    this.#reach();
    const waiting: WatchEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const watcher: Watcher = {
      resource,
      scope,
      notify(event) {
        waiting.push(event);
        wake.resolve();
      },
    };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => wake.resolve());
    try {
      while (!signal.aborted) {
        for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) yield event;
        if (signal.aborted) return;
        wake = Promise.withResolvers<void>();
        await wake.promise;
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }
}

function idOf(resource: Resource, { namespace, name }: ObjectPlace): string {
  return `${resource.plural} ${namespace ?? ''}/${name}`;
}

function refuse(status: number, reason: string): never {
  throw new KubeError(status, reason, `the fake says ${reason}`);
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

/** Patches whole fields of the object or of its metadata; `test` always succeeds. */
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
