import { type Sharers, Shares } from '../../core/budget/shares.ts';

/** Calls whose client has left and whose answer is still read for its usage: limited in number and in time. */
export interface Drains {
  /** Lets the flight continue for a limited time; if the key has too many drains, stops it at once. Call the returned function at its end. `sharers`: from `sharersOf`. */
  take(sharers: Sharers, flight: { stop(): void }): () => void;
  readonly count: number;
  /** Stops all drains, and every later one, because the process is shutting down. */
  stop(): void;
}

/** Makes an empty set of drains. */
export function createDrains(limits: { readonly drains: number; readonly drainMs: number }): Drains {
  const flights = new Set<{ stop(): void }>();
  const shares = new Shares();
  let maxDrains = limits.drains;
  return {
    get count() {
      return flights.size;
    },
    take(sharers, flight) {
      if (!shares.hasRoom(sharers, maxDrains - flights.size)) {
        flight.stop();
        return () => {};
      }
      flights.add(flight);
      shares.take(sharers);
      const timer = setTimeout(() => flight.stop(), limits.drainMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
        if (flights.delete(flight)) shares.release(sharers);
      };
    },
    stop() {
      maxDrains = 0;
      for (const flight of flights) flight.stop();
    },
  };
}
