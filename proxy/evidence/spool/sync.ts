import { close, fdatasync, fdatasyncSync, fsync } from 'node:fs';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

const syncFile = promisify(fdatasync);
const syncFolder = promisify(fsync);
const closeFile = promisify(close);

interface SyncerOptions {
  /** Descriptor of the spool's folder. */
  readonly folder: number;
  /** Files that are touched within this time are synced as one group. */
  readonly delayMs: number;
  readonly logger: Logger;
}

/** Syncs written bytes to the disk in groups, off the event loop; one group at a time. */
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

  /** Notes a new file in the folder. The previous file is complete: it will be synced and closed. */
  roll(previous: number | null): void {
    this.#folderTouched = true;
    if (previous !== null) {
      this.#retired.add(previous);
      this.#touched.add(previous);
    }
    this.#schedule();
  }

  /** If the last group failed, retries it once, synchronously; throws the disk's error. */
  heal(): void {
    for (const fd of this.#failed) {
      fdatasyncSync(fd);
      this.#failed.delete(fd);
    }
  }

  /** Resolves when everything touched so far is on the disk. */
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
    if (withFolder) await syncFolder(folder).catch((error: unknown) => logger.error({ err: error }, 'the spool folder did not sync'));
  }

  async #syncOne(fd: number): Promise<void> {
    const { logger } = this.#options;
    // If it was retired during its sync, its last bytes may be missing: the next group syncs and closes it.
    const isLast = this.#retired.has(fd);
    try {
      await syncFile(fd);
      this.#failed.delete(fd);
    } catch (error) {
      logger.error({ err: error }, 'the spool did not sync to disk; the proxy refuses calls until it does');
      this.#failed.add(fd);
    }
    if (isLast) {
      this.#retired.delete(fd);
      this.#touched.delete(fd); // `roll` touched it again, but nothing was written since
      this.#failed.delete(fd);
      await closeFile(fd).catch((error: unknown) => logger.error({ err: error }, 'a spool segment did not close'));
    }
  }
}
