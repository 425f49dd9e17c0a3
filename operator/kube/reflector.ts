import type { Logger } from 'pino';
import { createBackOff } from './back-off.ts';
import { createCache } from './cache.ts';
import { pause } from './pause.ts';
import {
  KubeAnswerTooLarge,
  type KubeClient,
  KubeError,
  type KubeObject,
  KubeUnreachable,
  type ListPage,
  type ObjectPlace,
  type Resource,
  type Scope,
} from './types.ts';

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly scope: Scope;
  /**
   * What of an object is kept; must not throw, and must keep metadata's name, namespace, uid and resourceVersion.
   * Default: all but `metadata.managedFields`.
   */
  readonly transform?: (object: KubeObject) => KubeObject;
  /**
   * Synchronous, in the order of the API server. `put`: new or changed (`previous` undefined where new, else the same object
   * before); `gone`: the last state known, deleted or out of the scope, also where that happened while disconnected, and before
   * another of its name is put. What it throws is logged.
   */
  readonly onChange: (kind: 'put' | 'gone', object: KubeObject, previous: KubeObject | undefined) => void;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Monotonic, milliseconds. */
  readonly clock?: () => number;
  readonly timings?: Timings;
}

export interface Timings {
  /** Objects per page of a list. */
  readonly pageSize: number;
  /** A watch is asked to end after one to two times this long. */
  readonly watchMs: number;
  /**
   * A watch with no event, bookmark or end for this long is dead. Over twice `watchMs`: of a quiet kind there may be no
   * bookmark for minutes (API servers send them where etcd reports progress), so the end is the one sign of life that is sure.
   */
  readonly silenceMs: number;
  /** A watch that ends sooner counts as a failure. */
  readonly shortMs: number;
  readonly backOff: { readonly firstMs: number; readonly mostMs: number };
}

/** Short watches, so that one that leads nowhere is left within a minute; they cost the API server less than renewing the Lease does. */
const standardTimings: Timings = {
  pageSize: 500,
  watchMs: 25_000,
  silenceMs: 55_000,
  shortMs: 5_000,
  backOff: { firstMs: 500, mostMs: 10_000 },
};

/** A local copy of one kind, kept current; it never stops by itself. */
export interface Reflector {
  start(): void;
  /** Resolves after the first complete list has been told to onChange; never rejects. */
  readonly synced: Promise<void>;
  get(place: ObjectPlace): KubeObject | undefined;
  all(): readonly KubeObject[];
  /** Lists anew, beside the watch: resolves when nothing is missing that was there at the call; never rejects. */
  fresh(): Promise<void>;
  /** Since the API server last said anything: over two minutes means that the copy is out of date. Infinity before the first list. */
  staleForMs(): number;
  close(): Promise<void>;
}

/**
 * Lists in pages, then watches from there on with bookmarks, resuming at the last resourceVersion after whatever ends a watch.
 * Where the API server has forgotten that version (410, as status or in the stream) or refuses otherwise, it lists again and
 * tells the difference, so that no deletion is lost. At most one request is open at a time, two while it is made `fresh`; failures are spaced by a back-off.
 */
export function createReflector(options: ReflectorOptions): Reflector {
  const { client, resource, scope, transform = withoutManagedFields, onChange, logger } = options;
  const { random = Math.random, clock = () => performance.now(), timings = standardTimings } = options;
  const { pageSize, watchMs, silenceMs, shortMs } = timings;
  const context = { plural: resource.plural, namespace: scope.namespace };
  const away = createBackOff(timings.backOff, random);
  const refused = createBackOff(timings.backOff, random);
  const synced = Promise.withResolvers<void>();
  const closing = new AbortController();
  const cache = createCache((kind, object, previous) => {
    try {
      onChange(kind, object, previous);
    } catch (error) {
      logger.error({ err: error, ...context, kind, name: object.metadata.name }, 'a change could not be taken in');
    }
  });
  let lastContactMs = Number.NEGATIVE_INFINITY;
  let running = Promise.resolve();
  let listing: Promise<void> = Promise.resolve();

  async function list(): Promise<{ readonly objects: readonly KubeObject[]; readonly version: string }> {
    const objects: KubeObject[] = [];
    let limit = pageSize;
    let page: ListPage | undefined;
    do {
      try {
        page = await client.list(resource, scope, { limit, ...(page?.continue !== undefined && { continue: page.continue }) });
        lastContactMs = clock();
        for (const item of page.items) objects.push(transform(item));
      } catch (error) {
        // Whoever may write large objects must not blind us; one alone always fits.
        if (!(error instanceof KubeAnswerTooLarge) || limit === 1) throw error;
        limit = Math.ceil(limit / 2);
      }
    } while ((page === undefined || page.continue !== undefined) && !closing.signal.aborted);
    return { objects, version: page?.resourceVersion ?? '' };
  }

  /** One list at a time: one that began earlier and ended later would undo a newer one. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = listing.then(work);
    listing = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  }

  function listAll(): Promise<string> {
    return inTurn(async () => {
      const { objects, version } = await list();
      if (closing.signal.aborted) return version;
      cache.replace(objects, version);
      synced.resolve();
      return version;
    });
  }

  /** Beside the watch, which goes on telling: a deletion waits for no list. */
  async function fresh(): Promise<void> {
    const again = createBackOff(timings.backOff, random);
    while (!closing.signal.aborted) {
      try {
        await inTurn(async () => {
          const { objects, version } = await list();
          // Else the watch has told of more than this.
          if (!closing.signal.aborted && cache.isBehind(version)) cache.replace(objects, version);
        });
        return;
      } catch (error) {
        await pause(again.next(error), closing.signal);
      }
    }
  }

  /** Follows one watch to its end. Rejects with KubeError where the cache has to be listed anew. */
  async function watchOnce(version: string): Promise<void> {
    const silent = new AbortController();
    const signal = AbortSignal.any([closing.signal, silent.signal]);
    const timer = setTimeout(() => silent.abort(), silenceMs);
    const timeoutSeconds = Math.ceil((watchMs * (1 + random())) / 1_000);
    try {
      for await (const event of client.watch(resource, { ...scope, resourceVersion: version, timeoutSeconds }, signal)) {
        if (event.type === 'ERROR') {
          const { code = 500, reason = '', message = '' } = event.object;
          throw new KubeError(code, reason, `watch ${resource.plural}: ${code} ${message}`);
        }
        lastContactMs = clock();
        timer.refresh();
        cache.take(event.type, event.type === 'BOOKMARK' ? event.object : transform(event.object));
        away.reset();
        refused.reset();
      }
    } finally {
      clearTimeout(timer);
    }
    if (!signal.aborted) lastContactMs = clock();
    if (silent.signal.aborted) throw new KubeUnreachable(`watch ${resource.plural}: silent for ${silenceMs} ms`);
  }

  /** Null: to be listed. Resolves with the wait before the next step. */
  async function step(state: { version: string | null }): Promise<number> {
    if (state.version === null) {
      state.version = await listAll();
      return 0;
    }
    const startMs = clock();
    try {
      await watchOnce(state.version);
      if (clock() - startMs < shortMs) return refused.next();
      away.reset();
      refused.reset();
      return 0;
    } catch (error) {
      if (mustRelist(error)) state.version = null;
      throw error;
    } finally {
      if (state.version !== null) state.version = cache.version();
    }
  }

  /** An API server that is back, and says 410 or that it still begins, is not left alone for as long as one that was away. */
  function delayAfter(error: Error): number {
    if (error instanceof KubeUnreachable) return away.next();
    away.reset();
    return refused.next(error);
  }

  async function run(): Promise<void> {
    const state: { version: string | null } = { version: null };
    while (!closing.signal.aborted) {
      const waitMs = await step(state).catch((error: Error) => {
        const delayMs = delayAfter(error);
        if (!closing.signal.aborted)
          logger.info({ ...context, error: error.message, delayMs, relist: state.version === null }, 'watching again');
        return delayMs;
      });
      await pause(waitMs, closing.signal);
    }
  }

  return {
    start: () => {
      running = run();
    },
    synced: synced.promise,
    get: cache.get,
    all: cache.all,
    fresh,
    staleForMs: () => clock() - lastContactMs,
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** No answer, or one that says "later", leaves the last version good; what else the API server says may be about the version. */
function mustRelist(error: unknown): boolean {
  return !(error instanceof KubeUnreachable || (error instanceof KubeError && [429, 500, 502, 503].includes(error.status)));
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata: metadata as KubeObject['metadata'] };
}
