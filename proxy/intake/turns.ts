/**
 * Turns of the event loop for work on large bodies: one slice a turn, whatever the number of bodies, in the order in which
 * they asked. All other events have their turn between two slices.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];

  /** Resolves when the next slice may be done. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(this.#grant);
    });
  }

  readonly #grant = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(this.#grant);
  };
}
