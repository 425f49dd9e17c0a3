import type { DatabaseSync } from 'node:sqlite';

/** Looks that are left out after failures, at most: six seconds. */
const maxSkips = 60;

/** Finds commits of other processes by looking, as SQLite does not report them. */
export class ForeignWrites {
  readonly #version: () => number;
  readonly #onWrite: () => boolean;
  #seen: number;
  #failures = 0;
  #skips = 0;

  /** `onWrite` is called again, ever more seldom, while it answers false. */
  constructor(db: DatabaseSync, onWrite: () => boolean) {
    const version = db.prepare('PRAGMA data_version');
    // Another number after each commit of another connection, never after one of ours.
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
