import { type Sharers, Shares } from '../../core/budget/shares.ts';

/** Bodies below this size never wait for others, and count for no key. */
export const smallBytes: number = 64 * 1024;
/** What small bodies may take beyond the budget, as a share of it: large ones never shut them out, and they are most calls. */
const smallShare = 1;
/** Maximum wait of a body for room: longer than a body takes to be read, shorter than a client's patience. */
const defaultWaitMs = 2_000;

interface ByteBudgetOptions {
  /** Maximum of bytes in receipt and in flight. */
  readonly totalBytes: number;
  /** Default: 2 s. */
  readonly waitMs?: number;
}

/** A body that waits for room. */
interface Waiter {
  readonly hold: BodyHold;
  readonly bytes: number;
  answer(hasRoom: boolean): void;
}

/**
 * The bytes of request bodies that a proxy may hold at once. A body takes all that it announces before its first byte is
 * read, and keeps it until its call has ended. A key may take everything while nobody else waits, and half while another
 * key waits; sub-agent keys share so what their VirtualKey may take. Among those that wait, the key that holds the least comes first.
 */
export class ByteBudget {
  readonly totalBytes: number;
  readonly #waitMs: number;
  #used = 0;
  /** Bytes of large bodies. */
  readonly #shares = new Shares();
  readonly #waiting: Waiter[] = [];
  /** Bodies without an announced length, oldest first. */
  readonly #growing = new Set<BodyHold>();

  constructor({ totalBytes, waitMs = defaultWaitMs }: ByteBudgetOptions) {
    this.totalBytes = totalBytes;
    this.#waitMs = waitMs;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** True while bodies wait or soon will: a body that hardly arrives then gives its room to others. */
  get isShort(): boolean {
    return this.#waiting.length > 0 || this.#used > this.totalBytes / 2;
  }

  /** Takes the bytes of a body, at once if there is room. False: there was none for the whole wait. */
  take(hold: BodyHold, bytes: number): boolean | Promise<boolean> {
    if (bytes < smallBytes) return this.#takeSmall(hold, bytes);
    if (this.#waiting.length === 0 && this.#fits(hold, bytes)) return this.#add(hold, bytes);
    return new Promise((resolve) => {
      const timer = setTimeout(() => answer(false), this.#waitMs);
      const answer = (hasRoom: boolean): void => {
        clearTimeout(timer);
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        if (hasRoom) this.#add(hold, bytes);
        resolve(hasRoom);
      };
      const waiter: Waiter = { hold, bytes, answer };
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  /**
   * Takes more bytes for a body whose length nobody knows. Where room is short, the newest of these bodies gives way; false:
   * that is this one.
   */
  grow(hold: BodyHold, bytes: number): boolean {
    this.#growing.add(hold);
    while (this.#waiting.length > 0 || !this.#fits(hold, bytes)) {
      const newest = [...this.#growing].at(-1);
      if (newest === undefined || newest === hold) return false;
      newest.giveWay();
      this.release(newest);
    }
    return this.#add(hold, bytes);
  }

  /** Notes that a body has arrived whole: it no longer gives way. */
  settle(hold: BodyHold): void {
    this.#growing.delete(hold);
  }

  /** Gives back all that a body holds, and its place in the line. */
  release(hold: BodyHold): void {
    this.#growing.delete(hold);
    this.#waiting.find((waiter) => waiter.hold === hold)?.answer(false);
    const { smallBytes: small, largeBytes: large, sharers } = hold;
    hold.smallBytes = 0;
    hold.largeBytes = 0;
    this.#used -= small + large;
    if (large > 0) this.#shares.release(sharers, large);
    if (this.#waiting.length > 0) this.#serve();
  }

  #takeSmall(hold: BodyHold, bytes: number): boolean {
    if (this.#used + bytes > this.totalBytes * (1 + smallShare)) return false;
    this.#used += bytes;
    hold.smallBytes += bytes;
    return true;
  }

  #add(hold: BodyHold, bytes: number): true {
    this.#used += bytes;
    hold.largeBytes += bytes;
    this.#shares.take(hold.sharers, bytes);
    return true;
  }

  /** True if no key that the body counts for takes more than half of what it may, while another key below the same one waits. */
  #fits({ sharers }: BodyHold, bytes: number): boolean {
    if (this.#used + bytes > this.totalBytes) return false;
    let most = this.totalBytes;
    for (const [level, key] of sharers.entries()) {
      const isContended = this.#waiting.some(
        ({ hold }) => hold.sharers[level] !== key && (level === 0 || hold.sharers[level - 1] === sharers[level - 1]),
      );
      if (isContended) most /= 2;
      if (this.#shares.heldBy(key) + bytes > most) return false;
    }
    return true;
  }

  /** True if the first holds less: its VirtualKey, or of one VirtualKey its key. */
  #holdsLess({ sharers }: BodyHold, other: BodyHold): boolean {
    const level = sharers.findIndex((key, at) => key !== other.sharers[at]);
    const [key, otherKey] = [sharers[level], other.sharers[level]];
    return key !== undefined && otherKey !== undefined && this.#shares.heldBy(key) < this.#shares.heldBy(otherKey);
  }

  /** Gives room to those that wait, as long as one of them fits. */
  #serve(): void {
    for (;;) {
      const fitting = this.#waiting.filter(({ hold, bytes }) => this.#fits(hold, bytes));
      if (fitting.length === 0) return;
      fitting.reduce((first, next) => (this.#holdsLess(next.hold, first.hold) ? next : first)).answer(true);
    }
  }
}

/** What one body holds of the budget. Disposing gives it back. */
export class BodyHold implements Disposable {
  /** From `sharersOf`. */
  readonly sharers: Sharers;
  readonly budget: ByteBudget;
  /** Set by the budget alone, like `largeBytes`. */
  smallBytes = 0;
  largeBytes = 0;
  /** Called if the body must end, because older ones need its room. */
  onGiveWay: (() => void) | null = null;

  constructor(budget: ByteBudget, sharers: Sharers) {
    this.budget = budget;
    this.sharers = sharers;
  }

  giveWay(): void {
    this.onGiveWay?.();
  }

  [Symbol.dispose](): void {
    this.budget.release(this);
  }
}
