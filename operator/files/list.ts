import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';

/** Extensions of the files that are read from a folder. A file that is named directly may have any. */
const manifestExtensions: ReadonlySet<string> = new Set(['.yaml', '.yml', '.json']);

/** The current content of a set of paths. */
interface Listing {
  /** Files in order: the paths as given, folders by name; each file once. */
  readonly files: readonly string[];
  /** Folders that were walked. */
  readonly folders: readonly string[];
  /** Paths that could not be listed, with the system's error code (`ENOENT`, `EACCES`, …). */
  readonly failures: readonly { readonly path: string; readonly code: string }[];
}

/** The system's code of a failed file operation. */
export function errorCode(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown error';
}

/**
 * Lists manifests below the given files and folders. In folders it skips hidden entries: editors' temporary files,
 * `.git`, and the `..data` of mounted ConfigMaps, whose files are visible through links.
 */
export async function listFiles(paths: readonly string[]): Promise<Listing> {
  const files = new Set<string>();
  const folders: string[] = [];
  const failures: { path: string; code: string }[] = [];
  const walked = new Set<string>();

  async function listNamed(path: string): Promise<void> {
    try {
      if ((await stat(path)).isDirectory()) await walk(path);
      else files.add(path);
    } catch (error) {
      failures.push({ path, code: errorCode(error) });
    }
  }

  async function listEntry(path: string): Promise<void> {
    try {
      if ((await stat(path)).isDirectory()) await walk(path);
      else if (manifestExtensions.has(extname(path).toLowerCase())) files.add(path);
    } catch (error) {
      const code = errorCode(error);
      // Deleted after readdir.
      if (code !== 'ENOENT') failures.push({ path, code });
    }
  }

  async function walk(folder: string): Promise<void> {
    const real = await realpath(folder);
    if (walked.has(real)) return; // a link back to a folder above
    walked.add(real);
    folders.push(folder);
    for (const name of (await readdir(folder)).filter((entry) => !entry.startsWith('.')).sort()) await listEntry(join(folder, name));
  }

  for (const path of paths) await listNamed(path);
  return { files: [...files], folders, failures };
}

/** True if a change of this name in a watched folder may matter. */
export function mayBeManifest(path: string): boolean {
  return manifestExtensions.has(extname(path).toLowerCase()) || basename(path).startsWith('..');
}
