import type { Logger } from 'pino';
import { type BackOff, type BackOffSteps, createBackOff } from './timing.ts';
import { KubeUnreachable } from './types.ts';

/** Waits between attempts to reach an API server that does not respond, for all keys together. */
const outage: BackOffSteps = { firstMs: 250, maxMs: 10_000 };
/** Rate of the retries of all keys together: a burst, then one at a time, as in client-go's controllers. */
const retriesAtOnce = 100;
const retryEveryMs = 100;
/** First failures of a key, which only its own back-off spaces, so that a temporary failure such as a conflict waits for no other key. */
const ownFailures = 2;

export interface QueueOptions {
  /** Reconciles `key` from any state. Resolves with the time of the next reconciliation, if there is one. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most work returns nothing, and need not write `return undefined`
  readonly work: (key: string) => Promise<{ readonly againInMs?: number } | void>;
  /** Keys in work at one time. */
  readonly concurrency: number;
  /** Back-off of one failing key; a success resets it. Retry-After of a KubeError prolongs a wait. */
  readonly backOff: BackOffSteps;
  readonly logger: Logger;
  /** Called after a failure is logged; must not throw. */
  readonly onError?: (key: string, error: unknown) => void;
  readonly random?: () => number;
}

/** A queue of keys. A key that is added several times waits once, and never runs twice at the same time. */
export interface Queue {
  add(key: string): void;
  /** The earlier of two dates wins. */
  addAfter(key: string, delayMs: number): void;
  /** Resolves when nothing waits and nothing runs; keys that are due later do not count. */
  idle(): Promise<void>;
  /** Starts no more work; resolves when the running work has ended. */
  close(): Promise<void>;
}

/** The failures of one key since its last success. */
interface Failures {
  readonly backOff: BackOff;
  readonly times: number;
}

/**
 * Makes a queue. A key that is added while it runs, runs again afterwards. KubeUnreachable does not count as the key's failure:
 * the whole queue pauses, then tries one key at a time until one succeeds. An unreachable API server thus sees few calls for any
 * number of keys. Another error may concern one key alone. Even so, a rate over all keys bounds the retries of those that keep
 * failing, because an API server that answers only errors must not get more calls. A newly added key waits for no retry.
 */
export function createQueue(options: QueueOptions): Queue {
  return new KeyQueue(options);
}

class KeyQueue implements Queue {
  readonly #options: QueueOptions;
  readonly #random: () => number;
  readonly #ready = new Set<string>();
  readonly #working = new Set<string>();
  /** Keys that were added while they ran. */
  readonly #dirty = new Set<string>();
  readonly #later = new Map<string, { readonly timer: NodeJS.Timeout; readonly atMs: number }>();
  readonly #failures = new Map<string, Failures>();
  readonly #outage: BackOff;
  /** Time of the last retry that is spaced over all keys. */
  #retriesUntilMs = Number.NEGATIVE_INFINITY;
  /** True while the queue tries one key at a time, until one succeeds. */
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

  /** Starts as many ready keys as may run now. If nothing is left, notifies callers of `idle`. */
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
      logger.info({ key, error: error.message }, 'the API server is unreachable');
      this.#dirty.add(key);
      this.#pauseAll();
    } else {
      const delayMs = this.#countFailure(key, error);
      logger.warn({ key, err: error, delayMs }, 'a reconciliation failed; the operator retries');
      this.addAfter(key, delayMs);
    }
    onError?.(key, error);
  }

  /** Counts a failure; returns the wait before the key's retry. */
  #countFailure(key: string, error: unknown): number {
    const { backOff, times } = this.#failures.get(key) ?? { backOff: createBackOff(this.#options.backOff, this.#random), times: 0 };
    this.#failures.set(key, { backOff, times: times + 1 });
    return Math.max(backOff.next(error), times < ownFailures ? 0 : this.#spacedRetryInMs());
  }

  /** The wait for a retry that is spaced over all keys. There are never more pending retries than failed keys. */
  #spacedRetryInMs(): number {
    const nowMs = performance.now();
    const spreadMs = Math.max(this.#retriesUntilMs, nowMs - retriesAtOnce * retryEveryMs) + retryEveryMs;
    this.#retriesUntilMs = Math.min(spreadMs, nowMs + this.#failures.size * retryEveryMs);
    return Math.max(0, this.#retriesUntilMs - nowMs);
  }

  /** Pauses the queue. Failures of keys that ran together count as one. */
  #pauseAll(): void {
    this.#isProbing = true;
    if (this.#isClosed || this.#pausing !== undefined) return;
    this.#pausing = setTimeout(() => {
      this.#pausing = undefined;
      this.#startReady();
    }, this.#outage.next());
  }
}
