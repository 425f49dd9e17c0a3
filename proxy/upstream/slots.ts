import { type Sharers, Shares } from '../../core/budget/shares.ts';
import { type Place, WaitingLine } from '../../core/budget/waiting-line.ts';

interface SlotsOptions {
  readonly total: number;
  /** Maximum wait for a slot. */
  readonly maxWaitMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

interface Waiter extends Place {
  readonly sharers: Sharers;
  answer(hasSlot: boolean): void;
}

/** The calls that may be at one provider at once, shared by key in the order of the line for money. In memory, without I/O. */
export class Slots {
  readonly #options: SlotsOptions;
  readonly #shares = new Shares();
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
   * signal ended it. The signal is asked for only if the call has to wait. `sharers`: from `sharersOf`.
   */
  take(sharers: Sharers, signal: () => AbortSignal): boolean | Promise<boolean> {
    // Whoever waits has no room, so nobody is overtaken.
    if (!this.#hasRoom(sharers)) return this.#wait(sharers, signal());
    this.#occupy(sharers);
    return true;
  }

  release(sharers: Sharers): void {
    this.#shares.release(sharers);
    this.#used -= 1;
    if (this.#line.size > 0) this.#serve();
  }

  #hasRoom(sharers: Sharers): boolean {
    return this.#shares.hasRoom(sharers, this.#options.total - this.#used);
  }

  #occupy(sharers: Sharers): void {
    this.#shares.take(sharers);
    this.#used += 1;
  }

  #wait(sharers: Sharers, signal: AbortSignal): Promise<boolean> {
    const { maxWaitMs, monotonic } = this.#options;
    const [key] = sharers;
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#line.remove(waiter);
        waiter.answer(false);
      };
      const timer = setTimeout(leave, maxWaitMs);
      const waiter: Waiter = {
        ...{ key, sharers, sinceMs: monotonic(), maxWaitMs },
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
    const taken = this.#line.offer(this.#options.monotonic(), ({ sharers }) => {
      if (!this.#hasRoom(sharers)) return 'waits';
      this.#occupy(sharers);
      return 'took';
    });
    for (const waiter of taken) {
      this.#line.served(waiter);
      waiter.answer(true);
    }
  }
}
