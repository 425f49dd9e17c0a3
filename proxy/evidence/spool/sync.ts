import { close, fdatasync, fdatasyncSync, fsync } from 'node:fs';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

const syncFile = promisify(fdatasync);
const syncFolder = promisify(fsync);
const closeFile = promisify(close);

interface SyncerOptions {
  /** Descriptor of the spool's folder. */
  readonly folder: number;
  /** A group is what was touched within this time. */
  readonly delayMs: number;
  readonly logger: Logger;
}

/** Brings written bytes to the disk in groups, off the event loop; one group runs at a time. */
export class Syncer {
  readonly #options: SyncerOptions;
  readonly #touched = new Set<number>();
  readonly #retired = new Set<number>();
  readonly #failed = new Set<number>();
  #folderTouched = false;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: SyncerOptions) {
    this.#options = options;
  }

  /** Notes that this file has new bytes. */
  touch(fd: number): void {
    this.#touched.add(fd);
    this.#schedule();
  }

  /** Notes that the folder has a new file, and that nothing more will be written to the previous one: it is synced and closed. */
  roll(previous: number | null): void {
    this.#folderTouched = true;
    if (previous !== null) {
      this.#retired.add(previous);
      this.#touched.add(previous);
    }
    this.#schedule();
  }

  /** Where the last group failed: tries once more, synchronously; throws what the disk says. */
  heal(): void {
    for (const fd of this.#failed) {
      fdatasyncSync(fd);
      this.#failed.delete(fd);
    }
  }

  /** Resolves when all that was touched before is on the disk. */
  async settled(): Promise<void> {
    this.#start();
    await this.#running;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.#start(), this.#options.delayMs).unref();
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#running.then(() => this.#runGroup());
  }

  async #runGroup(): Promise<void> {
    const { folder, logger } = this.#options;
    const files = [...this.#touched];
    this.#touched.clear();
    const withFolder = this.#folderTouched;
    this.#folderTouched = false;
    for (const fd of files) await this.#syncOne(fd);
    if (withFolder) await syncFolder(folder).catch((error: unknown) => logger.error({ err: error }, 'spool folder did not sync'));
  }

  async #syncOne(fd: number): Promise<void> {
    const { logger } = this.#options;
    // Retired while its sync was under way: its last bytes may have come too late, the next group syncs and closes it.
    const isLast = this.#retired.has(fd);
    try {
      await syncFile(fd);
      this.#failed.delete(fd);
    } catch (error) {
      logger.error({ err: error }, 'spool did not reach the disk; calls are refused until it does');
      this.#failed.add(fd);
    }
    if (isLast) {
      this.#retired.delete(fd);
      this.#touched.delete(fd); // its roll touched it again, and nothing was written since
      this.#failed.delete(fd);
      await closeFile(fd).catch((error: unknown) => logger.error({ err: error }, 'spool segment did not close'));
    }
  }
}
