import { KubeError } from './types.ts';

/** A broken gateway may ask for a day; nobody waits longer than this. */
const mostRetryAfterMs = 300_000;

/** Doubling waits, each between half and the whole of its step, so that replicas drift apart. */
export interface BackOff {
  /** How long to wait after one more failure: at least as long as the server asked for. */
  next(error?: unknown): number;
  reset(): void;
}

export interface BackOffSteps {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** `random` as Math.random. */
export function createBackOff({ firstMs, mostMs }: BackOffSteps, random: () => number): BackOff {
  let failures = 0;
  return {
    next(error) {
      const stepMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 30));
      failures += 1;
      const askedMs = error instanceof KubeError ? Math.min(error.retryAfterMs ?? 0, mostRetryAfterMs) : 0;
      return Math.max(stepMs * (0.5 + random() / 2), askedMs);
    },
    reset: () => {
      failures = 0;
    },
  };
}
