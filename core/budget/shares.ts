import type { KeyName } from '../names.ts';

/**
 * A key may hold this many times what is free. One key alone gets two thirds of all, and each further key that asks finds room
 * at once: dynamic thresholds, as switches share the memory of their queues (Choudhury and Hahne, IEEE/ACM Transactions on
 * Networking 6(2), 1998).
 */
const share = 2;

/** Who counts for a call: from the VirtualKey down to the key itself. */
export type Sharers = readonly [KeyName, ...KeyName[]];

/**
 * Who holds how much of what is limited: places or bytes. A sub-agent key shares what its VirtualKey may hold with the other keys below
 * it, so that minting keys gets nobody a larger share, and no key below one VirtualKey takes all of it. In memory.
 */
export class Shares {
  readonly #held = new Map<KeyName, number>();

  /** True if the key may take one more of these free places. `sharers`: from `sharersOf`. */
  hasRoom(sharers: Sharers, free: number): boolean {
    let room = free;
    for (const key of sharers) room = Math.min(room, share * room - this.heldBy(key));
    return room > 0;
  }

  take(sharers: Sharers, amount = 1): void {
    for (const key of sharers) this.#held.set(key, this.heldBy(key) + amount);
  }

  release(sharers: Sharers, amount = 1): void {
    for (const key of sharers) {
      const left = this.heldBy(key) - amount;
      if (left > 0) this.#held.set(key, left);
      else this.#held.delete(key);
    }
  }

  /** What the key holds, and the keys below it. */
  heldBy(key: KeyName): number {
    return this.#held.get(key) ?? 0;
  }
}
