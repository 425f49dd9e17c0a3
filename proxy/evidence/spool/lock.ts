import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * Locks a file until `release` or the end of the process, even after SIGKILL; null if another process holds it.
 * Node has no flock. A file with a process id becomes stale, and misleads across containers, which all have a process 1.
 * The kernel drops SQLite's lock with the process, and the lock works between containers that share a volume.
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
