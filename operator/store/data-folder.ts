import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { loadRootKey } from './root-key.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './types.ts';

/** What an operator keeps on its disk. */
interface DataFolder {
  readonly store: Store;
  /** 32 bytes. */
  readonly rootKey: Buffer;
}

/** Opens `keyforge.db` and `root.key`, made with their folder at first use; throws where the one is there without the other, saying what to do. */
export function openDataFolder(dataDir: string, clock: () => number, logger: Logger): DataFolder {
  const path = join(dataDir, 'keyforge.db');
  const rootKeyPath = join(dataDir, 'root.key');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if (existsSync(path) && !existsSync(rootKeyPath)) {
    throw new Error(
      `${rootKeyPath} is missing, and without it the records in ${path} cannot go on: restore it, or give another data folder`,
    );
  }
  // First the key, so that a crash in between does not look as if it had been lost.
  const rootKey = loadRootKey(rootKeyPath, randomBytes);
  const store = openSqliteStore({
    path,
    clock,
    onClockJump: (jump) =>
      logger.error(jump, 'the clock of this machine jumped; windows of limits go by the store, which only moves forward'),
  });
  return { store, rootKey };
}
