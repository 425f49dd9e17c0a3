import { type Place, WaitingLine } from '../../core/budget/waiting-line.ts';
import type { KeyName } from '../../core/names.ts';

/**
 * A key may hold this many times what is free. One key alone gets two thirds of all, and each further key that asks finds room
 * at once: dynamic thresholds, as switches share the memory of their queues (Choudhury and Hahne, IEEE/ACM Transactions on
 * Networking 6(2), 1998).
 */
const share = 2;

interface SlotsOptions {
  readonly total: number;
  /** Maximum wait for a slot. */
  readonly maxWaitMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

interface Waiter extends Place {
  answer(hasSlot: boolean): void;
}

/** The calls that may be at one provider at once, shared by key in the order of the line for money. In memory, without I/O. */
export class Slots {
  readonly #options: SlotsOptions;
  readonly #held = new Map<KeyName, number>();
  readonly #line = new WaitingLine<Waiter>();
  #used = 0;

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Takes a slot, at once if the key has room; `release` gives it back. False: there was none for the whole wait, or the
   * signal ended it. The signal is asked for only if the call has to wait.
   */
  take(key: KeyName, signal: () => AbortSignal): boolean | Promise<boolean> {
    // Whoever waits has no room, so nobody is overtaken.
    if (!this.#hasRoom(key)) return this.#wait(key, signal());
    this.#occupy(key);
    return true;
  }

  release(key: KeyName): void {
    const held = (this.#held.get(key) ?? 0) - 1;
    if (held > 0) this.#held.set(key, held);
    else this.#held.delete(key);
    this.#used -= 1;
    if (this.#line.size > 0) this.#serve();
  }

  #hasRoom(key: KeyName): boolean {
    const free = this.#options.total - this.#used;
    return (this.#held.get(key) ?? 0) < share * free;
  }

  #occupy(key: KeyName): void {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    this.#used += 1;
  }

  #wait(key: KeyName, signal: AbortSignal): Promise<boolean> {
    const { maxWaitMs, monotonic } = this.#options;
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#line.remove(waiter);
        waiter.answer(false);
      };
      const timer = setTimeout(leave, maxWaitMs);
      const waiter: Waiter = {
        ...{ key, sinceMs: monotonic(), maxWaitMs },
        answer(hasSlot) {
          clearTimeout(timer);
          signal.removeEventListener('abort', leave);
          resolve(hasSlot);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#line.add(waiter);
    });
  }

  #serve(): void {
    const taken = this.#line.offer(this.#options.monotonic(), ({ key }) => {
      if (!this.#hasRoom(key)) return 'waits';
      this.#occupy(key);
      return 'took';
    });
    for (const waiter of taken) {
      this.#line.served(waiter);
      waiter.answer(true);
    }
  }
}
