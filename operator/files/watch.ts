import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { listFiles, mayBeManifest } from './list.ts';

const pollMs = 250;
/** A change is told once it has stood still for this long: editors write in several steps. */
const settleMs = 50;
/** What vanished or became empty waits longer: between the two steps of an editor's replacement, a key must not die. */
const vanishMs = 300;

/** File name → inode, size and times; equal prints mean equal contents. */
type Print = ReadonlyMap<string, string>;

/** Watches manifests; see watchPaths. */
export interface Watch {
  /** Resolves when the state to compare with has been taken: what changes after is told. Load after it. */
  readonly ready: Promise<void>;
  close(): void;
}

/**
 * Calls `onChange` after any edit, replacement, addition or deletion below the paths: about 60 ms after an edit,
 * at most about 600 ms after a deletion. Kernel events only hasten a scan that runs every 250 ms anyway, so that
 * lost events, swapped links and re-created folders are seen too. The paths need not exist.
 */
export function watchPaths(paths: readonly string[], onChange: () => void): Watch {
  let told: Print = new Map();
  let seen: Print | null = null; // a change that has not stood still long enough
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const named = new Set(paths.map((path) => basename(path)));
  const hints = watchFolders((name) => {
    if (seen === null && timer !== undefined && (name === null || named.has(name) || mayBeManifest(name))) schedule(0);
  });

  function schedule(delayMs: number): void {
    clearTimeout(timer);
    timer = closed ? undefined : setTimeout(scan, delayMs);
  }

  async function look(): Promise<Print> {
    const listing = await listFiles(paths);
    if (!closed) hints.follow(new Set([...paths.map((path) => dirname(path)), ...listing.folders]));
    return fingerprint(listing.files);
  }

  async function scan(): Promise<void> {
    timer = undefined; // no scan is due while one runs
    const now = await look();
    if (closed) return;
    if (same(now, told)) {
      seen = null;
      schedule(pollMs);
    } else if (seen === null || !same(now, seen)) {
      seen = now;
      schedule(lost(told, now) ? vanishMs : settleMs);
    } else {
      told = now;
      seen = null;
      schedule(pollMs);
      onChange();
    }
  }

  const ready = look().then((first) => {
    told = first;
    schedule(pollMs);
  });
  return {
    ready,
    close() {
      closed = true;
      clearTimeout(timer);
      hints.follow(new Set());
    },
  };
}

async function fingerprint(files: readonly string[]): Promise<Print> {
  const print = new Map<string, string>();
  for (const file of files) {
    const found = await stat(file, { bigint: true }).catch(() => null);
    if (found !== null) print.set(file, `${found.size} ${found.dev} ${found.ino} ${found.mtimeNs} ${found.ctimeNs}`);
  }
  return print;
}

function same(a: Print, b: Print): boolean {
  return a.size === b.size && [...a].every(([file, print]) => b.get(file) === print);
}

function lost(before: Print, now: Print): boolean {
  return [...before.keys()].some((file) => now.get(file)?.startsWith('0 ') ?? true);
}

/** Keeps one kernel watch for each folder; a watch that cannot be had is left to the poll. */
function watchFolders(onEvent: (name: string | null) => void): { follow(folders: ReadonlySet<string>): void } {
  const watchers = new Map<string, FSWatcher>();

  function drop(folder: string): void {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  }

  function add(folder: string): void {
    try {
      const watcher = watch(folder, (_, name) => {
        // The folder itself was moved or removed: its watch follows the old inode and must be made anew.
        if (name === basename(folder)) drop(folder);
        onEvent(name);
      });
      watcher.on('error', () => drop(folder));
      watchers.set(folder, watcher);
    } catch {
      // The folder is missing or the system is out of watches; the next scan tries again.
    }
  }

  return {
    follow(folders) {
      for (const folder of [...watchers.keys()]) if (!folders.has(folder)) drop(folder);
      for (const folder of folders) if (!watchers.has(folder)) add(folder);
    },
  };
}
