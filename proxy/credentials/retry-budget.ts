const secondMs = 1000;
/** For how long a call, or a retry, counts. */
const windowSeconds = 10;
/** Retries in a window for each call in it. */
const ratio = 0.2;
/** Always allowed in a window, so that a quiet pool can retry at all. */
const leastRetries = 3 * windowSeconds;

/**
 * Bounds the retries of one pool by its traffic, so that a provider in trouble gets at most a fifth more requests, not a
 * multiple. Ratio and window are those of Finagle (finagle.github.io/blog/2016/02/08/retry-budgets) and Linkerd; Envoy's
 * `retry_budget` has 20 %, too, or its least if that is more (circuit_breaker.proto). Finagle's least is 10 a second; it is
 * 3 here, because a retry may be billed.
 */
export class RetryBudget {
  /** One slot a second, in turn. */
  readonly #calls = new Uint32Array(windowSeconds);
  readonly #retries = new Uint32Array(windowSeconds);
  #second = 0;
  #denied = 0;

  /** How many retries it denied. */
  get denied(): number {
    return this.#denied;
  }

  /** Counts a call's first attempt. */
  noteCall(nowMs: number): void {
    const slot = this.#slotAt(nowMs);
    this.#calls[slot] = (this.#calls[slot] ?? 0) + 1;
  }

  /** Takes one retry; false: none is left of this part of the budget. */
  take(nowMs: number, part = 1): boolean {
    const slot = this.#slotAt(nowMs);
    if (sum(this.#retries) >= part * Math.max(leastRetries, sum(this.#calls) * ratio)) {
      this.#denied += 1;
      return false;
    }
    this.#retries[slot] = (this.#retries[slot] ?? 0) + 1;
    return true;
  }

  /** The slot of this second, after those that are older than the window are emptied. A clock that goes back changes nothing. */
  #slotAt(nowMs: number): number {
    const second = Math.max(this.#second, Math.floor(nowMs / secondMs));
    if (second > this.#second) {
      for (let passed = Math.max(this.#second + 1, second - windowSeconds + 1); passed <= second; passed += 1) {
        this.#calls[passed % windowSeconds] = 0;
        this.#retries[passed % windowSeconds] = 0;
      }
      this.#second = second;
    }
    return second % windowSeconds;
  }
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
