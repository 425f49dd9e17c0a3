/** Calls whose client has left, read on for their usage: bounded in number and in time. */
export interface Drains {
  /** Lets the flight go on for a while, or stops it at once where too many are drained already. Returns how to say that it is over. */
  take(flight: { stop(): void }): () => void;
  readonly count: number;
}

/** An empty set of drains. */
export function createDrains(limits: { readonly drains: number; readonly drainMs: number }): Drains {
  let count = 0;
  return {
    get count() {
      return count;
    },
    take(flight) {
      if (count >= limits.drains) {
        flight.stop();
        return () => {};
      }
      count += 1;
      const timer = setTimeout(() => flight.stop(), limits.drainMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
        count -= 1;
      };
    },
  };
}
