import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { loadRootKey } from './root-key.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './types.ts';

/** The open data folder of an operator. */
interface DataFolder {
  readonly store: Store;
  /** 32 bytes. */
  readonly rootKey: Buffer;
}

/** Opens `keyforge.db` and `root.key`, and creates both at first use. If one exists without the other, it throws and says what to do. */
export function openDataFolder(dataDir: string, clock: () => number, logger: Logger): DataFolder {
  const path = join(dataDir, 'keyforge.db');
  const rootKeyPath = join(dataDir, 'root.key');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if (existsSync(path) && !existsSync(rootKeyPath)) {
    throw new Error(
      `${rootKeyPath} is missing, and without it KeyForge cannot continue the records in ${path}: restore it, or use another data folder`,
    );
  }
  // Create the key first, so that a crash in between does not look like a lost key.
  const rootKey = loadRootKey(rootKeyPath, randomBytes);
  const store = openSqliteStore({
    path,
    clock,
    onClockJump: (jump) =>
      logger.error(jump, 'the clock of this machine jumped; windows of limits follow the time of the store, which never goes back'),
  });
  return { store, rootKey };
}
