import type { Logger } from 'pino';
import { type BackOff, type BackOffSteps, createBackOff } from './timing.ts';
import { KubeUnreachable } from './types.ts';

/** The waits between attempts to reach an API server that does not answer, for all keys together. */
const outage: BackOffSteps = { firstMs: 250, maxMs: 10_000 };
/** Retries of all keys together: so many at once, and then one each so often, as client-go's controllers have it. */
const retriesAtOnce = 100;
const retryEveryMs = 100;
/** The first failures of a key, spaced by its own back-off alone: what passes by itself, such as a conflict, waits for no other key. */
const ownFailures = 2;

export interface QueueOptions {
  /** Brings the world to what `key` declares, from whatever state it is in. Resolves with when to work it again, if ever. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most work has nothing to return, and should not have to return it
  readonly work: (key: string) => Promise<{ readonly againInMs?: number } | void>;
  /** Keys in work at one time. */
  readonly concurrency: number;
  /** Of one key that fails; its first success resets it. Retry-After of a KubeError prolongs a wait. */
  readonly backOff: BackOffSteps;
  readonly logger: Logger;
  /** After the failure has been logged; must not throw. */
  readonly onError?: (key: string, error: unknown) => void;
  readonly random?: () => number;
}

/** Work by key: each waits once, however often it is added, and is never in work twice at one time. */
export interface Queue {
  add(key: string): void;
  /** The earlier of two dates wins. */
  addAfter(key: string, delayMs: number): void;
  /** Resolves when nothing waits and nothing is in work; keys with a later date do not count. */
  idle(): Promise<void>;
  /** Starts no more; resolves when what is in work has ended. */
  close(): Promise<void>;
}

/** Of one key since its last success. */
interface Failures {
  readonly backOff: BackOff;
  readonly times: number;
}

/**
 * A key added while in work is worked again after. KubeUnreachable is not held against the key: the whole queue pauses, then
 * tries with one key at a time until one succeeds, so that an API server that does not answer sees the same few calls however
 * many keys there are. Any other error may be of one key alone; but the retries of keys that go on failing are bounded over all
 * of them, so that an API server that answers everything with errors does not get ever more calls. What is added waits for no retry.
 */
export function createQueue(options: QueueOptions): Queue {
  return new KeyQueue(options);
}

class KeyQueue implements Queue {
  readonly #options: QueueOptions;
  readonly #random: () => number;
  readonly #ready = new Set<string>();
  readonly #working = new Set<string>();
  /** Added while in work. */
  readonly #dirty = new Set<string>();
  readonly #later = new Map<string, { readonly timer: NodeJS.Timeout; readonly atMs: number }>();
  readonly #failures = new Map<string, Failures>();
  readonly #outage: BackOff;
  /** When the last of the retries that are spaced over all keys is due. */
  #retriesUntilMs = Number.NEGATIVE_INFINITY;
  /** One key at a time, until one succeeds. */
  #isProbing = false;
  #pausing: NodeJS.Timeout | undefined;
  #isClosed = false;
  #onIdle: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#outage = createBackOff(outage, this.#random);
  }

  add(key: string): void {
    if (this.#isClosed) return;
    this.#forgetDate(key);
    if (this.#working.has(key)) this.#dirty.add(key);
    else this.#ready.add(key);
    this.#startReady();
  }

  addAfter(key: string, delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (this.#isClosed || (this.#later.get(key)?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) return;
    this.#forgetDate(key);
    this.#later.set(key, { timer: setTimeout(() => this.add(key), delayMs), atMs });
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
      this.#startReady();
    });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#pausing);
    for (const key of [...this.#later.keys()]) this.#forgetDate(key);
    return this.idle();
  }

  #forgetDate(key: string): void {
    clearTimeout(this.#later.get(key)?.timer);
    this.#later.delete(key);
  }

  /** Starts as many ready keys as may be in work now; notifies who waits for idleness where there is nothing left. */
  #startReady(): void {
    for (const key of this.#ready) {
      if (this.#isClosed || this.#pausing !== undefined || this.#working.size >= this.#maxWorking()) break;
      this.#ready.delete(key);
      this.#working.add(key);
      void this.#attempt(key);
    }
    const waits = this.#ready.size > 0 && !this.#isClosed;
    if (waits || this.#working.size > 0) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }

  #maxWorking(): number {
    return this.#isProbing ? 1 : this.#options.concurrency;
  }

  async #attempt(key: string): Promise<void> {
    try {
      const result = await this.#options.work(key);
      this.#failures.delete(key);
      this.#outage.reset();
      this.#isProbing = false;
      if (result?.againInMs !== undefined) this.addAfter(key, result.againInMs);
    } catch (error) {
      this.#fail(key, error);
    } finally {
      this.#working.delete(key);
      if (this.#dirty.delete(key)) this.add(key);
      this.#startReady();
    }
  }

  #fail(key: string, error: unknown): void {
    const { logger, onError } = this.#options;
    if (error instanceof KubeUnreachable) {
      logger.info({ key, error: error.message }, 'the API server is out of reach');
      this.#dirty.add(key);
      this.#pauseAll();
    } else {
      const delayMs = this.#countFailure(key, error);
      logger.warn({ key, err: error, delayMs }, 'failed; to be tried again');
      this.addAfter(key, delayMs);
    }
    onError?.(key, error);
  }

  /** Returns the wait before the key's retry. */
  #countFailure(key: string, error: unknown): number {
    const { backOff, times } = this.#failures.get(key) ?? { backOff: createBackOff(this.#options.backOff, this.#random), times: 0 };
    this.#failures.set(key, { backOff, times: times + 1 });
    return Math.max(backOff.next(error), times < ownFailures ? 0 : this.#spacedRetryInMs());
  }

  /** A key that is added before its retry needs that no more, so no more retries are ahead than there are keys that failed. */
  #spacedRetryInMs(): number {
    const nowMs = performance.now();
    const spreadMs = Math.max(this.#retriesUntilMs, nowMs - retriesAtOnce * retryEveryMs) + retryEveryMs;
    this.#retriesUntilMs = Math.min(spreadMs, nowMs + this.#failures.size * retryEveryMs);
    return Math.max(0, this.#retriesUntilMs - nowMs);
  }

  /** Failures of keys that were in work together count as one. */
  #pauseAll(): void {
    this.#isProbing = true;
    if (this.#isClosed || this.#pausing !== undefined) return;
    this.#pausing = setTimeout(() => {
      this.#pausing = undefined;
      this.#startReady();
    }, this.#outage.next());
  }
}
