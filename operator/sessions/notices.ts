import type { Logger } from 'pino';
import type { Recall } from '../../core/protocol/snapshot.ts';

/** A notice to sessions; `policy` means a new live state. */
export type Notice = 'policy' | Recall;

/** Publishes notices to every session. */
export class Notices {
  readonly #listeners = new Set<(notice: Notice) => void>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Publishes a notice. A failing listener does not stop the others from receiving a revocation. */
  publish(notice: Notice): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(notice);
      } catch (error) {
        this.#logger.error({ err: error }, 'the operator cannot push a change to a proxy');
      }
    }
  }

  /** Adds a listener; returns a function that removes it. */
  subscribe(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Ends every subscription. */
  clear(): void {
    this.#listeners.clear();
  }
}
