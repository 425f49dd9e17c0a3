import { mkdirSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type KeyName, keyName, partsOf } from '../../core/names.ts';
import { isToken } from '../../core/token.ts';
import { replaceFile } from '../files/replace.ts';

/** Where the holder of a key reads its token: `DIR/<namespace>/<name>`, mode 0600, the token and a newline. */
export interface TokenFiles {
  /** Null where there is none, or where what is there is no token. */
  read(key: KeyName): string | null;
  /** Makes the files be these tokens and no others; each that differs is replaced in one step, durable when it returns. */
  sync(tokens: ReadonlyMap<KeyName, string>): void;
}

/** The files below a folder, which is made with mode 0700. Key names are DNS names, so that no path leads out of it. */
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
