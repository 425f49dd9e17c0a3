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
   * What of an object is kept; must not throw, and must keep metadata's name, namespace, uid and resourceVersion.
   * Default: all but `metadata.managedFields`.
   */
  readonly transform?: (object: KubeObject) => KubeObject;
  /**
   * Synchronous, in the order of the API server. `put`: new (`previous` is undefined) or changed (`previous` is the same object
   * before). `gone`: deleted or out of the scope, with its last known state; also where that happened while disconnected, and
   * before another object of its name is put. What it throws is logged.
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
  /** The API server is requested to end a watch after one to two times this long. */
  readonly watchMs: number;
  /**
   * A watch with no event, bookmark or end for this long is dead. Over twice `watchMs`: of a quiet kind there may be no
   * bookmark for minutes (API servers send them where etcd reports progress), so its end is the only certain sign of life.
   */
  readonly silenceMs: number;
  /** A watch that ends sooner counts as a failure. */
  readonly shortMs: number;
  readonly backOff: BackOffSteps;
}

/** Short watches, so that a dead one ends within a minute; they cost the API server less than renewing the Lease does. */
const standardTimings: Timings = {
  pageSize: 500,
  watchMs: 25_000,
  silenceMs: 55_000,
  shortMs: 5_000,
  backOff: { firstMs: 500, maxMs: 10_000 },
};

/** A local copy of one kind, kept current; it never stops by itself. */
export interface Reflector {
  start(): void;
  /** Resolves once the first complete list has been reported to onChange; never rejects. */
  readonly synced: Promise<void>;
  get(place: ObjectPlace): KubeObject | undefined;
  all(): readonly KubeObject[];
  /** Lists again, beside the watch: resolves when nothing is missing that existed at the call; never rejects. */
  fresh(): Promise<void>;
  /** Since the last sign of life of the API server: over two minutes means that the copy is out of date. Infinity before the first list. */
  staleForMs(): number;
  close(): Promise<void>;
}

/**
 * Lists in pages, then watches from there on with bookmarks, resuming at the last resourceVersion after whatever ends a watch.
 * Where the API server has forgotten that version (410, as status or in the stream) or refuses otherwise, it lists again and
 * reports the difference, so that no deletion is lost. At most one request is open at a time, two during `fresh`; a back-off
 * spaces failures.
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
  /** Of failures without an answer, and of answers that refuse. */
  readonly #unreachable: BackOff;
  readonly #refused: BackOff;
  readonly #cache: Cache;
  readonly #closing = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #lastContactMs = Number.NEGATIVE_INFINITY;
  /** Where the next watch resumes; null: a list comes first. */
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

  /** Beside the watch, which goes on reporting: a deletion waits for no list. */
  async fresh(): Promise<void> {
    const backOff = createBackOff(this.#timings.backOff, this.#random);
    while (!this.#closing.signal.aborted) {
      try {
        await this.#inTurn(async () => {
          const { objects, version } = await this.#list();
          // Else the watch has reported more than this.
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

  /** One list or one watch. Resolves with the wait before the next step. */
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
      logger.info({ ...this.#logged, error: error.message, delayMs, relist: this.#version === null }, 'watching again');
    }
    return delayMs;
  }

  /** An API server that is back, and answers 410 or that it is still starting, gets shorter waits than one that does not answer. */
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

  /** One list at a time: one that began earlier and ended later would undo a newer one. */
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
        // Whoever may write large objects must not blind us; one alone always fits.
        if (!(error instanceof KubeAnswerTooLarge) || limit === 1) throw error;
        limit = Math.ceil(limit / 2);
      }
    } while ((page === undefined || page.continue !== undefined) && !this.#closing.signal.aborted);
    return { objects, version: page?.resourceVersion ?? '' };
  }

  /** Follows one watch to its end. Rejects with KubeError where the cache has to be listed again. */
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
      this.#options.logger.error({ err: error, ...this.#logged, kind, name: object.metadata.name }, 'a change could not be taken in');
    }
  }
}

/** No answer, or one that says "later", leaves the last version valid; any other refusal may be about the version. */
function mustRelist(error: unknown): boolean {
  return !(error instanceof KubeUnreachable || (error instanceof KubeError && [429, 500, 502, 503].includes(error.status)));
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata: metadata as KubeObject['metadata'] };
}
