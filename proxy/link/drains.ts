/** Calls whose client has left and whose answer is still read for its usage: limited in number and in time. */
export interface Drains {
  /** Lets the flight continue for a limited time; if there are too many drains, stops it at once. Call the returned function at its end. */
  take(flight: { stop(): void }): () => void;
  readonly count: number;
  /** Stops all drains, and every later one, because the process is shutting down. */
  stop(): void;
}

/** Makes an empty set of drains. */
export function createDrains(limits: { readonly drains: number; readonly drainMs: number }): Drains {
  const flights = new Set<{ stop(): void }>();
  let maxDrains = limits.drains;
  return {
    get count() {
      return flights.size;
    },
    take(flight) {
      if (flights.size >= maxDrains) {
        flight.stop();
        return () => {};
      }
      flights.add(flight);
      const timer = setTimeout(() => flight.stop(), limits.drainMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
        flights.delete(flight);
      };
    },
    stop() {
      maxDrains = 0;
      for (const flight of flights) flight.stop();
    },
  };
}
