import { mkdirSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isToken, type KeyName, keyName } from '../../core/key.ts';
import { replaceFile } from './replace-file.ts';

/** Where the holder of a key reads its token: `DIR/<namespace>/<name>`, mode 0600, the token and a newline. */
export interface TokenFiles {
  /** Null where there is none, or where what is there is no token. */
  read(key: KeyName): string | null;
  /** Replaces the file in one step; durable when it returns. */
  write(key: KeyName, token: string): void;
  /** Removes every file but those of these keys. */
  keepOnly(keys: ReadonlySet<KeyName>): void;
}

/** The files below a folder, which is made with mode 0700. Key names are DNS names, so that no path leads out of it. */
export function openTokenFiles(dir: string): TokenFiles {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pathOf = (key: KeyName): string => join(dir, ...key.split('/'));

  return {
    read(key) {
      const text = readIfThere(pathOf(key))?.trim() ?? '';
      return isToken(text) ? text : null;
    },
    write(key, token) {
      mkdirSync(dirname(pathOf(key)), { recursive: true, mode: 0o700 });
      replaceFile(pathOf(key), `${token}\n`);
    },
    keepOnly(keys) {
      for (const { name: namespace } of readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
        for (const name of readdirSync(join(dir, namespace))) {
          if (!keys.has(keyName(namespace, name))) unlinkSync(join(dir, namespace, name));
        }
        if (readdirSync(join(dir, namespace)).length === 0) rmdirSync(join(dir, namespace));
      }
    },
  };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
