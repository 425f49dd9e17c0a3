import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createFolder, exists, isAlive } from './folder.ts';

/** Something dear to make, kept between runs outside the tree. */
export interface CacheEntry {
  readonly name: string;
  /** Everything that the result depends on; another input is another entry. */
  readonly inputs: readonly string[];
  /** For people who wait, e.g. `about six minutes`. */
  readonly duration: string;
  /** Fills an empty folder. */
  readonly make: (folder: string) => Promise<void>;
}

/** `$XDG_CACHE_HOME/keyforge`, by default `~/.cache/keyforge`. */
export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'keyforge');
}

/** Where the entry is or will be. */
export function cacheFolder(entry: CacheEntry): string {
  const hash = createHash('sha256');
  for (const input of entry.inputs) hash.update(`${Buffer.byteLength(input)}\n${input}`);
  return join(cacheRoot(), `${entry.name}-${hash.digest('hex').slice(0, 16)}`);
}

/** The entry's folder, made now if it is not there. Processes that ask at the same time make it once: the others wait. */
export async function cached(entry: CacheEntry): Promise<string> {
  const folder = cacheFolder(entry);
  const lockPath = `${folder}.lock`;
  await mkdir(dirname(folder), { recursive: true });
  for (let waitedMs = 0; !(await exists(folder)); waitedMs += 500) {
    if (await lock(lockPath)) {
      try {
        if (!(await exists(folder))) await makeInto(folder, entry);
      } finally {
        await rm(lockPath, { force: true });
      }
      continue;
    }
    if (waitedMs % 30_000 === 0) say(`waiting for another process that makes ${entry.name} (${entry.duration})`);
    await pause(500);
  }
  return folder;
}

/** Fills a folder beside the final one and renames it, so that a process which dies half-way leaves no half entry. */
async function makeInto(folder: string, entry: CacheEntry): Promise<void> {
  const temporary = await createFolder(dirname(folder));
  const startedMs = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - startedMs) / 1000)} s`;
  say(`making ${entry.name}: once, ${entry.duration}, kept in ${folder}`);
  const progress = setInterval(() => say(`still making ${entry.name}: ${seconds()} so far, ${entry.duration} in all`), 30_000);
  try {
    await entry.make(temporary);
    // Two may have found the same lock abandoned: the first result stays.
    await rename(temporary, folder).catch(async (error) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    clearInterval(progress);
    await rm(temporary, { recursive: true, force: true });
  }
  say(`made ${entry.name} in ${seconds()}`);
}

/** True where the lock is ours now. A lock whose process is gone is taken away, for the next try. */
async function lock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = await readFile(path, 'utf8').catch(() => '');
  const age =
    Date.now() -
    (await stat(path)
      .then((found) => found.mtimeMs)
      .catch(() => Date.now()));
  // An empty lock is one that was made this instant, unless it has been so for a while.
  if (holder === '' ? age > 5_000 : !isAlive(Number(holder))) await rm(path, { force: true });
  return false;
}

function say(message: string): void {
  process.stderr.write(`cluster: ${message}\n`);
}
