import type { Entry } from '../../../core/audit/types.ts';

/** An entry and the position after it. */
export interface PlacedEntry {
  readonly entry: Entry;
  readonly end: number;
}

/** The newest entries in memory, so that shipping reads the disk only when it is far behind. */
export interface Recent {
  add(placed: PlacedEntry): void;
  /** All entries after this position, and forgets those before it; null where some are no longer in memory. */
  after(position: number): readonly PlacedEntry[] | null;
}

/** Keeps at most this many bytes of bodies; `from` is the position at which it begins. */
export function createRecent(from: number, mostBytes: number): Recent {
  let kept: PlacedEntry[] = [];
  let keptFrom = from;
  let keptBytes = 0;

  function drop(count: number): void {
    const dropped = kept.slice(0, count);
    kept = kept.slice(count);
    keptFrom = dropped.at(-1)?.end ?? keptFrom;
    for (const { entry } of dropped) keptBytes -= entry.body.length;
  }

  return {
    add(placed) {
      kept.push(placed);
      keptBytes += placed.entry.body.length;
      if (keptBytes > mostBytes) drop(Math.ceil(kept.length / 2));
    },
    after(position) {
      if (position < keptFrom) return null;
      const first = kept.findIndex(({ end }) => end > position);
      drop(first === -1 ? kept.length : first);
      return kept;
    },
  };
}
