import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { listFiles, mayBeManifest } from './list.ts';

const pollMs = 250;
/** A change is reported once nothing has changed for this long: editors write in several steps. */
const settleMs = 50;
/** A deleted or emptied file waits longer, so that a key does not die between the two steps of an editor's replacement. */
const vanishMs = 300;

/** File name → inode, size and times; equal fingerprints mean equal contents. */
type Fingerprints = ReadonlyMap<string, string>;

/** Watches manifests; see watchPaths. */
export interface Watch {
  /** Resolves when the first state is known: later changes are reported. Load the files after it. */
  readonly ready: Promise<void>;
  close(): void;
}

/**
 * Calls `onChange` after any edit, replacement, addition or deletion below the paths: about 60 ms after an edit,
 * at most about 600 ms after a deletion. Kernel events only speed up a scan that runs every 250 ms, so that it
 * also finds lost events, swapped links and re-created folders. The paths need not exist.
 */
export function watchPaths(paths: readonly string[], onChange: () => void): Watch {
  const scanner = new Scanner(paths, onChange);
  return { ready: scanner.start(), close: () => scanner.close() };
}

class Scanner {
  readonly #paths: readonly string[];
  readonly #names: ReadonlySet<string>;
  readonly #onChange: () => void;
  readonly #hints = watchFolders((name) => this.#hasten(name));
  #reported: Fingerprints = new Map();
  /** A change that has not settled yet. */
  #unsettled: Fingerprints | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(paths: readonly string[], onChange: () => void) {
    this.#paths = paths;
    this.#names = new Set(paths.map((path) => basename(path)));
    this.#onChange = onChange;
  }

  async start(): Promise<void> {
    this.#reported = await this.#read();
    this.#schedule(pollMs);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#hints.follow(new Set());
  }

  #hasten(name: string | null): void {
    const isDue = this.#unsettled === null && this.#timer !== undefined;
    if (isDue && (name === null || this.#names.has(name) || mayBeManifest(name))) this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = this.#isClosed ? undefined : setTimeout(() => this.#scan(), delayMs);
  }

  async #read(): Promise<Fingerprints> {
    const listing = await listFiles(this.#paths);
    if (!this.#isClosed) this.#hints.follow(new Set([...this.#paths.map((path) => dirname(path)), ...listing.folders]));
    return fingerprint(listing.files);
  }

  async #scan(): Promise<void> {
    this.#timer = undefined; // schedule no scan while one runs
    const now = await this.#read();
    if (this.#isClosed) return;
    if (same(now, this.#reported)) {
      this.#unsettled = null;
      this.#schedule(pollMs);
    } else if (this.#unsettled === null || !same(now, this.#unsettled)) {
      this.#unsettled = now;
      this.#schedule(lost(this.#reported, now) ? vanishMs : settleMs);
    } else {
      this.#reported = now;
      this.#unsettled = null;
      this.#schedule(pollMs);
      this.#onChange();
    }
  }
}

async function fingerprint(files: readonly string[]): Promise<Fingerprints> {
  const fingerprints = new Map<string, string>();
  for (const file of files) {
    const found = await stat(file, { bigint: true }).catch(() => null);
    if (found !== null) fingerprints.set(file, `${found.size} ${found.dev} ${found.ino} ${found.mtimeNs} ${found.ctimeNs}`);
  }
  return fingerprints;
}

function same(a: Fingerprints, b: Fingerprints): boolean {
  return a.size === b.size && [...a].every(([file, each]) => b.get(file) === each);
}

/** True if a file was deleted or became empty. */
function lost(before: Fingerprints, now: Fingerprints): boolean {
  return [...before.keys()].some((file) => now.get(file)?.startsWith('0 ') ?? true);
}

/** Keeps one kernel watch for each folder. If a folder cannot be watched, polling covers it. */
function watchFolders(onEvent: (name: string | null) => void): { follow(folders: ReadonlySet<string>): void } {
  const watchers = new Map<string, FSWatcher>();

  function drop(folder: string): void {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  }

  function add(folder: string): void {
    try {
      const watcher = watch(folder, (_, name) => {
        // The folder itself was moved or removed: its watch follows the old inode and must be opened again.
        if (name === basename(folder)) drop(folder);
        onEvent(name);
      });
      watcher.on('error', () => drop(folder));
      watchers.set(folder, watcher);
    } catch {
      // The folder is missing or the system is out of watches: the next scan retries.
    }
  }

  return {
    follow(folders) {
      for (const folder of [...watchers.keys()]) if (!folders.has(folder)) drop(folder);
      for (const folder of folders) if (!watchers.has(folder)) add(folder);
    },
  };
}
