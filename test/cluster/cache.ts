import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { exists, isAlive } from './folder.ts';

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

/** Whoever makes something says so this often, to people and by the time of its lock and its folder. */
const progressMs = 30_000;
/** What was not touched for so long belongs to nobody: process ids repeat, in containers above all, and prove nothing. */
const staleMs = 120_000;
/** An entry that was not asked for in so long is removed when another of its name is made. */
const unusedMs = 30 * 86_400_000;
/** In the name of a folder that is being filled. */
const unfinished = '.making-';

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
        if (!(await exists(folder))) await makeInto(folder, entry, lockPath);
      } finally {
        await rm(lockPath, { force: true });
      }
      continue;
    }
    if (waitedMs % progressMs === 0) say(`waiting for another process that makes ${entry.name} (${entry.duration})`);
    await pause(500);
  }
  await touch(folder);
  return folder;
}

/** Fills a folder beside the final one and renames it, so that a process which dies half-way leaves no half entry. */
async function makeInto(folder: string, entry: CacheEntry, lockPath: string): Promise<void> {
  await prune(entry);
  const temporary = await mkdtemp(`${folder}${unfinished}`);
  const startedMs = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - startedMs) / 1000)} s`;
  say(`making ${entry.name}: once, ${entry.duration}, kept in ${folder}`);
  const progress = setInterval(() => {
    say(`still making ${entry.name}: ${seconds()} so far, ${entry.duration} in all`);
    for (const path of [lockPath, temporary]) void touch(path);
  }, progressMs);
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

/** Removes entries of the same name that nobody uses any more, and what those who were killed left half made. */
async function prune({ name }: CacheEntry): Promise<void> {
  for (const found of await readdir(cacheRoot())) {
    if (!found.startsWith(`${name}-`)) continue;
    const path = join(cacheRoot(), found);
    if ((await ageMs(path)) > (found.includes(unfinished) ? staleMs : unusedMs)) await rm(path, { recursive: true, force: true });
  }
}

/** True where the lock is ours now. One that is stale, or whose process is gone, is taken away, for the next try. */
async function lock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(`${process.pid} ${hostname()}`);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const [pid, host] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
  // Of another container only the time tells whether it still runs.
  const isGone = host === hostname() && !isAlive(Number(pid));
  if (isGone || (await ageMs(path)) > staleMs) await rm(path, { force: true });
  return false;
}

/** Since it was last touched; 0 where it is not there any more. */
async function ageMs(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
}

/** Marks it as in use. A cache that may only be read stays as it is: nobody prunes it. */
async function touch(path: string): Promise<void> {
  await utimes(path, new Date(), new Date()).catch(() => undefined);
}

function say(message: string): void {
  process.stderr.write(`cache: ${message}\n`);
}
