import type { Entry } from '../../../core/audit/types.ts';

/** An entry and the position after it. */
export interface PlacedEntry {
  readonly entry: Entry;
  readonly end: number;
}

/** The newest entries, in memory, so that shipping reads the disk only when it is far behind. */
export class Recent {
  readonly #maxBytes: number;
  #kept: PlacedEntry[] = [];
  #keptFrom: number;
  #keptBytes = 0;

  /** Keeps at most this many bytes of bodies; `from` is the first position. */
  constructor(from: number, maxBytes: number) {
    this.#keptFrom = from;
    this.#maxBytes = maxBytes;
  }

  add(placed: PlacedEntry): void {
    this.#kept.push(placed);
    this.#keptBytes += placed.entry.body.length;
    if (this.#keptBytes > this.#maxBytes) this.#drop(Math.ceil(this.#kept.length / 2));
  }

  /** Drops the entries before this position and returns the others; null if some of the others are no longer in memory. */
  dropUntil(position: number): readonly PlacedEntry[] | null {
    if (position < this.#keptFrom) return null;
    const first = this.#kept.findIndex(({ end }) => end > position);
    this.#drop(first === -1 ? this.#kept.length : first);
    return this.#kept;
  }

  #drop(count: number): void {
    const dropped = this.#kept.slice(0, count);
    this.#kept = this.#kept.slice(count);
    this.#keptFrom = dropped.at(-1)?.end ?? this.#keptFrom;
    for (const { entry } of dropped) this.#keptBytes -= entry.body.length;
  }
}
