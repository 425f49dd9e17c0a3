import type { Logger } from 'pino';
import { defined } from '../../core/json.ts';
import { type Cache, createCache } from './cache.ts';
import { type BackOff, type BackOffSteps, createBackOff, pause } from './timing.ts';
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
   * Reduces an object to what the cache keeps. It must not throw, and must keep metadata's name, namespace, uid and
   * resourceVersion. Default: all except `metadata.managedFields`.
   */
  readonly transform?: (object: KubeObject) => KubeObject;
  /**
   * Called synchronously, in the order of the API server. `put`: new (`previous` is undefined) or changed (`previous` is the
   * earlier version). `gone`: deleted or out of scope, with its last known state; also after a deletion while disconnected,
   * and before a `put` of another object of its name. An error that it throws is logged.
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
  /** The reflector requests that the API server end a watch after one to two times this long. */
  readonly watchMs: number;
  /**
   * A watch without event, bookmark or end for this long is dead. It must exceed twice `watchMs`: a quiet kind may have no
   * bookmark for minutes (API servers send them when etcd reports progress), so only the watch's end is a certain sign of life.
   */
  readonly silenceMs: number;
  /** A watch that ends sooner counts as a failure. */
  readonly shortMs: number;
  readonly backOff: BackOffSteps;
}

/** Watches are short, so that a dead one ends within a minute. They cost the API server less than renewing the Lease does. */
const standardTimings: Timings = {
  pageSize: 500,
  watchMs: 25_000,
  silenceMs: 55_000,
  shortMs: 5_000,
  backOff: { firstMs: 500, maxMs: 10_000 },
};

/** A local, current copy of one kind. It runs until it is closed. */
export interface Reflector {
  start(): void;
  /** Resolves once the first complete list has been reported to onChange; never rejects. */
  readonly synced: Promise<void>;
  get(place: ObjectPlace): KubeObject | undefined;
  all(): readonly KubeObject[];
  /** Lists again while the watch continues. Resolves when nothing is missing that existed at the call; never rejects. */
  fresh(): Promise<void>;
  /** Milliseconds since the last sign of life of the API server; over two minutes, the copy is stale. Infinity before the first list. */
  staleForMs(): number;
  close(): Promise<void>;
}

/**
 * Makes a reflector. It lists in pages, then watches with bookmarks, and resumes at the last resourceVersion after every end of
 * a watch. If the API server has forgotten that version (410, as status or in the stream) or refuses otherwise, it lists again
 * and reports the difference, so that no deletion is lost. At most one request is open at a time, two during `fresh`; a
 * back-off spaces failures.
 */
export function createReflector(options: ReflectorOptions): Reflector {
  return new KindReflector(options);
}

class KindReflector implements Reflector {
  readonly synced: Promise<void>;
  readonly #options: Omit<ReflectorOptions, 'transform' | 'onChange'>;
  readonly #transform: (object: KubeObject) => KubeObject;
  readonly #onChange: ReflectorOptions['onChange'];
  readonly #logged: { readonly plural: string; readonly namespace: string | undefined };
  readonly #timings: Timings;
  readonly #clock: () => number;
  readonly #random: () => number;
  /** Back-offs after failures without a response, and after responses that refuse. */
  readonly #unreachable: BackOff;
  readonly #refused: BackOff;
  readonly #cache: Cache;
  readonly #closing = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #lastContactMs = Number.NEGATIVE_INFINITY;
  /** The version at which the next watch resumes; null: a list is first. */
  #version: string | null = null;
  #listing: Promise<unknown> = Promise.resolve();
  #running = Promise.resolve();

  constructor({ transform = withoutManagedFields, onChange, ...options }: ReflectorOptions) {
    const { resource, scope, random = Math.random, clock = () => performance.now(), timings = standardTimings } = options;
    this.#options = options;
    this.#transform = transform;
    this.#onChange = onChange;
    this.#logged = { plural: resource.plural, namespace: scope.namespace };
    this.#timings = timings;
    this.#clock = clock;
    this.#random = random;
    this.#unreachable = createBackOff(timings.backOff, random);
    this.#refused = createBackOff(timings.backOff, random);
    this.#cache = createCache((kind, object, previous) => this.#report(kind, object, previous));
    this.synced = this.#firstList.promise;
  }

  start(): void {
    this.#running = this.#run();
  }

  get(place: ObjectPlace): KubeObject | undefined {
    return this.#cache.get(place);
  }

  all(): readonly KubeObject[] {
    return this.#cache.all();
  }

  staleForMs(): number {
    return this.#clock() - this.#lastContactMs;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** Lists while the watch continues to report, so that a deletion waits for no list. */
  async fresh(): Promise<void> {
    const backOff = createBackOff(this.#timings.backOff, this.#random);
    while (!this.#closing.signal.aborted) {
      try {
        await this.#inTurn(async () => {
          const { objects, version } = await this.#list();
          // Otherwise the watch has already reported more than this list.
          if (!this.#closing.signal.aborted && this.#cache.isBehind(version)) this.#cache.replace(objects, version);
        });
        return;
      } catch (error) {
        await pause(backOff.next(error), this.#closing.signal);
      }
    }
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const waitMs = await this.#step().catch((error: Error) => this.#fail(error));
      await pause(waitMs, this.#closing.signal);
    }
  }

  /** Runs one list or one watch. Resolves with the wait before the next step. */
  async #step(): Promise<number> {
    if (this.#version === null) {
      this.#version = await this.#listAll();
      return 0;
    }
    const startMs = this.#clock();
    try {
      await this.#watchOnce(this.#version);
      if (this.#clock() - startMs < this.#timings.shortMs) return this.#refused.next();
      this.#resetBackOffs();
      return 0;
    } catch (error) {
      if (mustRelist(error)) this.#version = null;
      throw error;
    } finally {
      if (this.#version !== null) this.#version = this.#cache.version();
    }
  }

  #fail(error: Error): number {
    const delayMs = this.#delayAfter(error);
    if (!this.#closing.signal.aborted) {
      const { logger } = this.#options;
      logger.info(
        { ...this.#logged, error: error.message, delayMs, relist: this.#version === null },
        'a watch ended; the operator opens it again',
      );
    }
    return delayMs;
  }

  /** The wait after an error. It is shorter if the API server responds (410, or still starting) than if it does not. */
  #delayAfter(error: Error): number {
    if (error instanceof KubeUnreachable) return this.#unreachable.next();
    this.#unreachable.reset();
    return this.#refused.next(error);
  }

  #listAll(): Promise<string> {
    return this.#inTurn(async () => {
      const { objects, version } = await this.#list();
      if (this.#closing.signal.aborted) return version;
      this.#cache.replace(objects, version);
      this.#firstList.resolve();
      return version;
    });
  }

  /** Runs one list at a time, because a list that began earlier and ended later would undo a newer one. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#listing.then(work);
    this.#listing = mine.catch(() => undefined);
    return mine;
  }

  async #list(): Promise<{ readonly objects: readonly KubeObject[]; readonly version: string }> {
    const { client, resource, scope } = this.#options;
    const objects: KubeObject[] = [];
    let limit = this.#timings.pageSize;
    let page: ListPage | undefined;
    do {
      try {
        page = await client.list(resource, scope, { limit, ...defined({ continue: page?.continue }) });
        this.#lastContactMs = this.#clock();
        for (const item of page.items) objects.push(this.#transform(item));
      } catch (error) {
        // Large objects must not stop the reflector: request smaller pages. A single object always fits.
        if (!(error instanceof KubeAnswerTooLarge) || limit === 1) throw error;
        limit = Math.ceil(limit / 2);
      }
    } while ((page === undefined || page.continue !== undefined) && !this.#closing.signal.aborted);
    return { objects, version: page?.resourceVersion ?? '' };
  }

  /** Follows one watch to its end. Rejects with KubeError if it must list again. */
  async #watchOnce(version: string): Promise<void> {
    const { client, resource, scope } = this.#options;
    const { watchMs, silenceMs } = this.#timings;
    const silent = new AbortController();
    const signal = AbortSignal.any([this.#closing.signal, silent.signal]);
    const timer = setTimeout(() => silent.abort(), silenceMs);
    const timeoutSeconds = Math.ceil((watchMs * (1 + this.#random())) / 1_000);
    try {
      for await (const event of client.watch(resource, { ...scope, resourceVersion: version, timeoutSeconds }, signal)) {
        if (event.type === 'ERROR') {
          const { code = 500, reason = '', message = '' } = event.object;
          throw new KubeError(code, reason, `watch ${resource.plural}: ${code} ${message}`);
        }
        this.#lastContactMs = this.#clock();
        timer.refresh();
        this.#cache.take(event.type, event.type === 'BOOKMARK' ? event.object : this.#transform(event.object));
        this.#resetBackOffs();
      }
    } finally {
      clearTimeout(timer);
    }
    if (!signal.aborted) this.#lastContactMs = this.#clock();
    if (silent.signal.aborted) throw new KubeUnreachable(`watch ${resource.plural}: silent for ${silenceMs} ms`);
  }

  #resetBackOffs(): void {
    this.#unreachable.reset();
    this.#refused.reset();
  }

  #report(kind: 'put' | 'gone', object: KubeObject, previous: KubeObject | undefined): void {
    try {
      this.#onChange(kind, object, previous);
    } catch (error) {
      this.#options.logger.error(
        { err: error, ...this.#logged, kind, name: object.metadata.name },
        'the operator cannot process a change of an object',
      );
    }
  }
}

/** True if the last version may be invalid. Without a response, or after one that says "later", the version stays valid. */
function mustRelist(error: unknown): boolean {
  return !(error instanceof KubeUnreachable || (error instanceof KubeError && [429, 500, 502, 503].includes(error.status)));
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata: metadata as KubeObject['metadata'] };
}
