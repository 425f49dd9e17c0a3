import { close, fdatasync, fdatasyncSync, fsync } from 'node:fs';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

const syncFile = promisify(fdatasync);
const syncFolder = promisify(fsync);
const closeFile = promisify(close);

/** Brings written bytes to the disk in groups, off the event loop. */
export interface Syncer {
  /** Says that this file has new bytes. */
  touch(fd: number): void;
  /** Says that the folder has a new file, and that nothing more will be written to the one before: it is synced and closed. */
  roll(retired: number | null): void;
  /** Where the last group failed: tries once more, synchronously; throws what the disk says. */
  heal(): void;
  /** Resolves when all that was touched before is on the disk. */
  settled(): Promise<void>;
}

/** A group is what was touched within `delayMs`; one group runs at a time. */
export function createSyncer(options: { readonly folder: number; readonly delayMs: number; readonly logger: Logger }): Syncer {
  const { folder, delayMs, logger } = options;
  const touched = new Set<number>();
  const retired = new Set<number>();
  const failed = new Set<number>();
  let folderTouched = false;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> = Promise.resolve();

  function schedule(): void {
    timer ??= setTimeout(start, delayMs).unref();
  }

  function start(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    running = running.then(runGroup);
  }

  async function runGroup(): Promise<void> {
    const files = [...touched];
    touched.clear();
    const withFolder = folderTouched;
    folderTouched = false;
    for (const fd of files) await syncOne(fd);
    if (withFolder) await syncFolder(folder).catch((error: unknown) => logger.error({ err: error }, 'spool folder did not sync'));
  }

  async function syncOne(fd: number): Promise<void> {
    // Retired while its sync was under way: its last bytes may have come too late, the next group syncs and closes it.
    const last = retired.has(fd);
    try {
      await syncFile(fd);
      failed.delete(fd);
    } catch (error) {
      logger.error({ err: error }, 'spool did not reach the disk; calls are refused until it does');
      failed.add(fd);
    }
    if (last) {
      retired.delete(fd);
      touched.delete(fd); // said so again by its roll, and nothing was written since
      failed.delete(fd);
      await closeFile(fd).catch((error: unknown) => logger.error({ err: error }, 'spool segment did not close'));
    }
  }

  return {
    touch(fd) {
      touched.add(fd);
      schedule();
    },
    roll(before) {
      folderTouched = true;
      if (before !== null) {
        retired.add(before);
        touched.add(before);
      }
      schedule();
    },
    heal() {
      for (const fd of failed) {
        fdatasyncSync(fd);
        failed.delete(fd);
      }
    },
    async settled() {
      start();
      await running;
    },
  };
}
