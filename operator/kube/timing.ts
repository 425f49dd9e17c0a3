import { KubeError } from './types.ts';

/** Resolves after `delayMs`, or at once when `signal` is or becomes aborted; never rejects. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done);
  });
}

/** Resolves with the API server's answer, or rejects after `timeoutMs`. The request may continue. */
export function within<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`the API server did not answer within ${timeoutMs} ms`)), timeoutMs);
  return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}

/** Resolves with the answer, or rejects with the signal's reason when it is aborted. The work may continue. */
export function orAborted<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort);
  return Promise.race([aborted.promise, answer]).finally(() => signal.removeEventListener('abort', abort));
}

/** Maximum wait: a broken gateway may send a Retry-After of a day. */
const maxRetryAfterMs = 300_000;

/** Doubling waits, each between half and the whole of its step, so that replicas do not retry together. */
export interface BackOff {
  /** The wait after one more failure, at least the server's Retry-After. */
  next(error?: unknown): number;
  reset(): void;
}

export interface BackOffSteps {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Makes a back-off. `random`: a function like Math.random. */
export function createBackOff({ firstMs, maxMs }: BackOffSteps, random: () => number): BackOff {
  let failures = 0;
  return {
    next(error) {
      const stepMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30));
      failures += 1;
      const retryAfterMs = error instanceof KubeError ? Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs) : 0;
      return Math.max(stepMs * (0.5 + random() / 2), retryAfterMs);
    },
    reset: () => {
      failures = 0;
    },
  };
}

/** A token bucket: it bounds how often something happens. */
export interface Bucket {
  /** Takes a token; false if there is none. A clock that is set back adds no tokens. */
  take(nowMs: number): boolean;
}

/** Starts with `atOnce` tokens, its maximum, and regains one each `everyMs`. */
export function createBucket({ atOnce, everyMs }: { readonly atOnce: number; readonly everyMs: number }, madeMs: number): Bucket {
  let tokens = atOnce;
  let atMs = madeMs;
  return {
    take(nowMs) {
      tokens = Math.min(atOnce, tokens + Math.max(0, nowMs - atMs) / everyMs);
      atMs = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
