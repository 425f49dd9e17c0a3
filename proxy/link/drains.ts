import type { KeyName } from '../../core/names.ts';

/** A key may have this many times what is free, so that one that disconnects all the time leaves room to others, as in slots.ts. */
const share = 2;

/** Calls whose client has left and whose answer is still read for its usage: limited in number and in time. */
export interface Drains {
  /** Lets the flight continue for a limited time; if the key has too many drains, stops it at once. Call the returned function at its end. */
  take(key: KeyName, flight: { stop(): void }): () => void;
  readonly count: number;
  /** Stops all drains, and every later one, because the process is shutting down. */
  stop(): void;
}

/** Makes an empty set of drains. */
export function createDrains(limits: { readonly drains: number; readonly drainMs: number }): Drains {
  const flights = new Set<{ stop(): void }>();
  const byKey = new Map<KeyName, number>();
  const countOf = (key: KeyName): number => byKey.get(key) ?? 0;
  let maxDrains = limits.drains;
  return {
    get count() {
      return flights.size;
    },
    take(key, flight) {
      if (countOf(key) >= share * (maxDrains - flights.size)) {
        flight.stop();
        return () => {};
      }
      flights.add(flight);
      byKey.set(key, countOf(key) + 1);
      const timer = setTimeout(() => flight.stop(), limits.drainMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
        if (!flights.delete(flight)) return;
        if (countOf(key) > 1) byKey.set(key, countOf(key) - 1);
        else byKey.delete(key);
      };
    },
    stop() {
      maxDrains = 0;
      for (const flight of flights) flight.stop();
    },
  };
}
