const words =
  'the file test import value error return function request module line of to in is not const await response index and we should check config update build string path for when this reads what it has'.split(
    ' ',
  );

/** Numbers and texts that depend on a seed alone. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }

  /** From 0 to below 1: mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Around a median with a heavy tail above (log-normal), within bounds. */
  heavy({ median, least, most }: { readonly median: number; readonly least: number; readonly most: number }): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return Math.round(Math.min(most, Math.max(least, median * Math.exp(0.8 * normal))));
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[Math.floor(this.next() * values.length)] ?? values[0];
  }

  /** Words of prose and code, about 3.5 bytes to one of the simulation's tokens. */
  text(bytes: number): string {
    const parts: string[] = [];
    for (let size = 0; size < bytes; ) {
      const word = words[Math.floor(this.next() * words.length)] ?? '';
      parts.push(word);
      size += word.length + 1;
    }
    return parts.join(' ').slice(0, bytes);
  }
}
