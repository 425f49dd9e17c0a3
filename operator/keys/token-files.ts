import { mkdirSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type KeyName, keyName, partsOf } from '../../core/names.ts';
import { isToken } from '../../core/token.ts';
import { replaceFile } from '../files/replace.ts';

/** The files from which holders read their tokens: `DIR/<namespace>/<name>`, mode 0600, the token and a newline. */
export interface TokenFiles {
  /** Null if there is no file, or if its content is not a token. */
  read(key: KeyName): string | null;
  /** Writes these tokens and removes all other files. It replaces each file in one step, durable when it returns. */
  sync(tokens: ReadonlyMap<KeyName, string>): void;
}

/** Opens the files below a folder, created with mode 0700. Key names are DNS names, so no path leaves the folder. */
export function openTokenFiles(dir: string): TokenFiles {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pathOf = (key: KeyName): string => {
    const { namespace, name } = partsOf(key);
    return join(dir, namespace, name);
  };

  function read(key: KeyName): string | null {
    const text = readIfThere(pathOf(key))?.trim() ?? '';
    return isToken(text) ? text : null;
  }

  return {
    read,
    sync(tokens) {
      for (const [key, token] of tokens) {
        if (read(key) === token) continue;
        mkdirSync(dirname(pathOf(key)), { recursive: true, mode: 0o700 });
        replaceFile(pathOf(key), `${token}\n`);
      }
      for (const { name: namespace } of readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
        for (const name of readdirSync(join(dir, namespace))) {
          if (!tokens.has(keyName(namespace, name))) unlinkSync(join(dir, namespace, name));
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
