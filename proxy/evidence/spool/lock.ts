import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * Holds a file exclusively until released or until the process ends, however it ends; null where another holder has it.
 * Node has no flock, and a file with a process id becomes stale and misleads across containers, which all have a process 1.
 * SQLite takes a lock that the kernel itself drops, and works between containers that share a volume.
 */
export function lockFile(path: string): { readonly release: () => void } | null {
  closeSync(openSync(path, 'a', 0o600));
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    const busy = 5; // SQLITE_BUSY
    if ((error as { errcode?: number }).errcode === busy) return null;
    throw error;
  }
  return { release: () => database.close() };
}
