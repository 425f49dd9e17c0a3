import type { DatabaseSync } from 'node:sqlite';

/** Maximum of checks that are skipped after failures: six seconds. */
const maxSkips = 60;

/** Finds commits of other processes by polling, because SQLite does not report them. */
export class ForeignWrites {
  readonly #version: () => number;
  readonly #onWrite: () => boolean;
  #seen: number;
  #failures = 0;
  #skips = 0;

  /** While `onWrite` returns false, it is called again, with growing intervals. */
  constructor(db: DatabaseSync, onWrite: () => boolean) {
    const version = db.prepare('PRAGMA data_version');
    // The number changes after each commit of another connection, never after one of ours.
    this.#version = () => (version.get() as { readonly data_version: number }).data_version;
    this.#onWrite = onWrite;
    this.#seen = this.#version();
  }

  look(): void {
    if (this.#skips > 0) {
      this.#skips -= 1;
      return;
    }
    const version = this.#version();
    if (version === this.#seen) return;
    if (this.#onWrite()) {
      this.#seen = version;
      this.#failures = 0;
    } else {
      this.#failures += 1;
      this.#skips = Math.min(2 ** this.#failures, maxSkips);
    }
  }
}
