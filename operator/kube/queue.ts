import type { Logger } from 'pino';
import { type BackOff, type BackOffSteps, createBackOff } from './back-off.ts';
import { KubeUnreachable } from './types.ts';

/** The waits between attempts to reach an API server that is away, for all keys together. */
const outage: BackOffSteps = { firstMs: 250, mostMs: 10_000 };
/** Retries of all keys together: so many at once, and then one each so often, as client-go's controllers have it. */
const retriesAtOnce = 100;
const retryEveryMs = 100;
/** Failures of a key that its own back-off alone spaces: what passes by itself, such as a conflict, waits for no other key. */
const ownFailures = 2;

export interface QueueOptions {
  /** Brings the world to what `key` asks for, from whatever state it is in. Resolves with when to look again, if ever. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most work has nothing to say, and should not have to say so
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
 * tries with one key at a time until one succeeds, so that an API server that is away sees the same few calls however many
 * keys there are. Any other error may be of one key alone; but the retries of keys that go on failing are bounded over all of
 * them, so that an API server that answers everything with errors is not asked ever more. What is added waits for no retry.
 */
export function createQueue(options: QueueOptions): Queue {
  const { work, concurrency, logger, onError, random = Math.random } = options;
  const ready = new Set<string>();
  const working = new Set<string>();
  const dirty = new Set<string>();
  const later = new Map<string, { readonly timer: NodeJS.Timeout; readonly atMs: number }>();
  const failures = new Map<string, Failures>();
  const away = createBackOff(outage, random);
  let retriesUntilMs = Number.NEGATIVE_INFINITY;
  let probing = false;
  let pausing: NodeJS.Timeout | undefined;
  let closed = false;
  let onIdle: (() => void)[] = [];

  function add(key: string): void {
    if (closed) return;
    forgetDate(key);
    if (working.has(key)) dirty.add(key);
    else ready.add(key);
    turn();
  }

  function addAfter(key: string, delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (closed || (later.get(key)?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) return;
    forgetDate(key);
    later.set(key, { timer: setTimeout(add, delayMs, key), atMs });
  }

  function forgetDate(key: string): void {
    clearTimeout(later.get(key)?.timer);
    later.delete(key);
  }

  function turn(): void {
    for (const key of ready) {
      if (closed || pausing !== undefined || working.size >= (probing ? 1 : concurrency)) break;
      ready.delete(key);
      working.add(key);
      void attempt(key);
    }
    const waits = ready.size > 0 && !closed;
    if (waits || working.size > 0) return;
    for (const resolve of onIdle) resolve();
    onIdle = [];
  }

  async function attempt(key: string): Promise<void> {
    try {
      const result = await work(key);
      failures.delete(key);
      away.reset();
      probing = false;
      if (result?.againInMs !== undefined) addAfter(key, result.againInMs);
    } catch (error) {
      fail(key, error);
    } finally {
      working.delete(key);
      if (dirty.delete(key)) add(key);
      turn();
    }
  }

  function fail(key: string, error: unknown): void {
    if (error instanceof KubeUnreachable) {
      logger.info({ key, error: error.message }, 'the API server is out of reach');
      dirty.add(key);
      pause();
    } else {
      const { backOff, times } = failures.get(key) ?? { backOff: createBackOff(options.backOff, random), times: 0 };
      failures.set(key, { backOff, times: times + 1 });
      const delayMs = Math.max(backOff.next(error), times < ownFailures ? 0 : nextRetryInMs());
      logger.warn({ key, err: error, delayMs }, 'failed; to be tried again');
      addAfter(key, delayMs);
    }
    onError?.(key, error);
  }

  /** A key that is added before its retry gives that up, so no more are ahead than there are keys that failed. */
  function nextRetryInMs(): number {
    const nowMs = performance.now();
    const spreadMs = Math.max(retriesUntilMs, nowMs - retriesAtOnce * retryEveryMs) + retryEveryMs;
    retriesUntilMs = Math.min(spreadMs, nowMs + failures.size * retryEveryMs);
    return Math.max(0, retriesUntilMs - nowMs);
  }

  /** Failures of keys that were in work together count as one. */
  function pause(): void {
    probing = true;
    if (closed || pausing !== undefined) return;
    pausing = setTimeout(() => {
      pausing = undefined;
      turn();
    }, away.next());
  }

  const idle = () =>
    new Promise<void>((resolve) => {
      onIdle.push(resolve);
      turn();
    });

  return {
    add,
    addAfter,
    idle,
    close() {
      closed = true;
      clearTimeout(pausing);
      for (const key of [...later.keys()]) forgetDate(key);
      return idle();
    },
  };
}
