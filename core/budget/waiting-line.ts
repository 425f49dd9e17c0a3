import type { KeyName } from '../names.ts';

/** One who waits. Times are of one monotonic clock. */
export interface Place {
  readonly key: KeyName;
  readonly sinceMs: number;
  readonly maxWaitMs: number;
}

/** What became of an offer: the place took it, still waits, or no longer counts. */
type Offered = 'took' | 'waits' | 'gone';

/** Beyond this, the key served longest ago is forgotten, which makes it one that was never served. */
const rememberedKeys = 4096;

/** True once half of the time is over: from then on, what comes free is kept for this place. Never for one without time to wait. */
export function isFirm({ sinceMs, maxWaitMs }: Place, nowMs: number): boolean {
  return maxWaitMs > 0 && nowMs - sinceMs >= maxWaitMs / 2;
}

/** True if a place takes less than it prefers: half of its time is over, or it has none. */
export function takesLess(place: Place, nowMs: number): boolean {
  return place.maxWaitMs === 0 || isFirm(place, nowMs);
}

/** Those who wait for money, in one order: the key served longest ago is first; within a key, age counts. In memory, without I/O. */
export class WaitingLine<P extends Place> {
  /** By key; each list by age, and changed in place: a line may be long, and each of its places comes and goes. */
  readonly #places = new Map<KeyName, P[]>();
  /** When each key was served, as a count; in this order. */
  readonly #turns = new Map<KeyName, number>();
  #lastTurn = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The places of all keys, without order between keys. The line must not change meanwhile. */
  *[Symbol.iterator](): IterableIterator<P> {
    for (const places of this.#places.values()) yield* places;
  }

  has(place: P): boolean {
    return indexOf(this.#places.get(place.key) ?? [], place) >= 0;
  }

  add(place: P): void {
    const places = this.#places.get(place.key);
    if (places === undefined) this.#places.set(place.key, [place]);
    else places.splice(firstYounger(places, place.sinceMs), 0, place);
    this.#size += 1;
  }

  /** Takes a place out; does nothing if it has left. */
  remove(place: P): void {
    const places = this.#places.get(place.key) ?? [];
    const at = indexOf(places, place);
    if (at < 0) return;
    places.splice(at, 1);
    if (places.length === 0) this.#places.delete(place.key);
    this.#size -= 1;
  }

  /** Takes out a place that was served. Its key now comes after all others. */
  served(place: P): void {
    this.remove(place);
    this.#lastTurn += 1;
    this.#turns.delete(place.key);
    this.#turns.set(place.key, this.#lastTurn);
    for (const longestAgo of this.#turns.keys()) {
      if (this.#turns.size <= rememberedKeys) break;
      this.#turns.delete(longestAgo);
    }
  }

  /**
   * Offers what is there to each place in order, and changes nothing. `ahead` are the firm places that come before and still
   * wait: what they lack is not for this one. Returns the places that took something.
   */
  offer(nowMs: number, take: (place: P, ahead: readonly P[]) => Offered): readonly P[] {
    const ahead: P[] = [];
    const taken: P[] = [];
    const turns = this.#inOrder().map((places) => ({ places, next: 0 }));
    const takes = (place: P): boolean => {
      const offered = take(place, ahead);
      if (offered === 'waits' && isFirm(place, nowMs)) ahead.push(place);
      return offered === 'took';
    };
    for (const { places, next } of turns) {
      const at = places.findIndex((place, index) => index >= next && takes(place));
      const place = places[at];
      if (place === undefined) continue;
      taken.push(place);
      // The other places of this key come after those of all others.
      turns.push({ places, next: at + 1 });
    }
    return taken;
  }

  /** The places of each key, the key served longest ago first; of keys never served, the one with the oldest place. */
  #inOrder(): (readonly P[])[] {
    const turnOf = ([key]: readonly [KeyName, unknown]): number => this.#turns.get(key) ?? 0;
    return [...this.#places]
      .sort((a, b) => turnOf(a) - turnOf(b) || (a[1][0]?.sinceMs ?? 0) - (b[1][0]?.sinceMs ?? 0))
      .map(([, places]) => places);
  }
}

/** Where the places begin that are younger than this. */
function firstYounger(places: readonly Place[], sinceMs: number): number {
  let from = 0;
  let to = places.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((places[middle]?.sinceMs ?? 0) > sinceMs) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Where a place stands; -1: nowhere. */
function indexOf(places: readonly Place[], place: Place): number {
  for (let at = firstYounger(places, place.sinceMs) - 1; places[at]?.sinceMs === place.sinceMs; at -= 1) {
    if (places[at] === place) return at;
  }
  return -1;
}
