/** Calls whose client has left, read on for their usage: limited in number and in time. */
export interface Drains {
  /** Lets the flight go on for a while, or stops it at once where too many are drained already. Returns how to report its end. */
  take(flight: { stop(): void }): () => void;
  readonly count: number;
  /** Stops them all, and every later one: the process ends. */
  stop(): void;
}

/** An empty set of drains. */
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
