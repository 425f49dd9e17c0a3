import { type Refusal, refuse } from '../../core/errors.ts';
import type { KeyName } from '../../core/names.ts';
import type { ConcurrencyLimit } from '../../core/policy/documents.ts';

/** Counts calls in flight of this proxy, by node of the tree that limits them. Calls without a limit on their path are not counted. */
export class ConcurrentCalls {
  readonly #inFlight = new Map<KeyName, number>();

  /** Counts a call at every node, or at none: then the first full node from the root refuses it. */
  enter(limits: readonly ConcurrencyLimit[]): Refusal | null {
    const full = limits.find(({ key, calls }) => this.of(key) >= calls);
    if (full !== undefined) return refuseAt(full);
    for (const { key } of limits) this.#inFlight.set(key, this.of(key) + 1);
    return null;
  }

  /** Ends what `enter` began; call it once, with the same limits. */
  leave(limits: readonly ConcurrencyLimit[]): void {
    for (const { key } of limits) {
      const left = this.of(key) - 1;
      if (left > 0) this.#inFlight.set(key, left);
      else this.#inFlight.delete(key);
    }
  }

  /** Calls in flight of a node and all keys below it. */
  of(key: KeyName): number {
    return this.#inFlight.get(key) ?? 0;
  }
}

function refuseAt({ key, calls }: ConcurrencyLimit): Refusal {
  const allowed = calls === 1 ? '1 call' : `${calls} calls`;
  return refuse(
    'rate_limited',
    `The limit rate.concurrentCalls of ${key} allows ${allowed} at a time through one proxy, and no more can begin now: retry when one has ended.`,
    { retryAfterSeconds: 1, limitedBy: `${key} concurrentCalls` },
  );
}
