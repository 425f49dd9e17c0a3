import { closeSync, fsyncSync, linkSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** The root key is unusable; the message says what to do. */
export class RootKeyError extends Error {
  override readonly name = 'RootKeyError';
}

const rootKeyBytes = 32;

/** Reads the root key: 32 bytes in a file that only its owner can open. Throws RootKeyError. */
export function readRootKey(path: string): Buffer {
  let mode: number;
  let key: Buffer;
  try {
    mode = statSync(path).mode;
    key = readFileSync(path);
  } catch (error) {
    throw new RootKeyError(`the root key ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if ((mode & 0o077) !== 0) {
    throw new RootKeyError(`other users can open the root key ${path}: check who has, then run chmod 600 on it`);
  }
  if (key.length !== rootKeyBytes) {
    throw new RootKeyError(`the root key ${path} has ${key.length} bytes instead of ${rootKeyBytes}: restore it from a copy`);
  }
  return key;
}

/**
 * Reads the root key, or makes one at first use. All sealed data depends on it, so a new key is completely on the disk before
 * anything uses it. If two processes make one at once, both use the same.
 */
export function loadRootKey(path: string, random: (size: number) => Uint8Array): Buffer {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return readRootKey(path);
  const draft = `${path}.${Buffer.from(random(6)).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, random(rootKeyBytes));
    fsyncSync(file);
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
  return readRootKey(path);
}
