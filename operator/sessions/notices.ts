import type { Logger } from 'pino';
import type { Recall } from '../../core/protocol/snapshot.ts';

/** What sessions hear of: `policy` means a new live state. */
export type Notice = 'policy' | Recall;

/** Passes notices on to every session. */
export class Notices {
  readonly #listeners = new Set<(notice: Notice) => void>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** A listener that fails keeps no other from hearing of a revocation. */
  publish(notice: Notice): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(notice);
      } catch (error) {
        this.#logger.error({ err: error }, 'a change could not be pushed to a proxy');
      }
    }
  }

  /** Returns how to stop. */
  subscribe(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Ends every subscription. */
  clear(): void {
    this.#listeners.clear();
  }
}
