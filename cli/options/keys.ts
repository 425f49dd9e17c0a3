import { defined } from '../../core/json.ts';
import type { Environment } from '../config.ts';
import { type Misuse, Reader } from './reader.ts';

const actions = ['list', 'revoke', 'rotate'] as const;

/** The command line of `keyforge keys`, with its environment. */
export interface KeysOptions {
  readonly action: (typeof actions)[number];
  /** `NAMESPACE/NAME`; always set but for `list`. */
  readonly key?: string;
  readonly dataDir: string;
  /** Absent: as `keyforge up` left it in the data folder. */
  readonly adminUrl?: string;
  /** A duration such as `24h`, as written; the operator reads it. */
  readonly overlap?: string;
  readonly json: boolean;
}

/** Flags of `keyforge keys`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readKeysOptions(args: readonly string[], environment: Environment): KeysOptions | Misuse {
  const read = new Reader(args, environment, {
    data: { type: 'string' },
    admin: { type: 'string' },
    overlap: { type: 'string' },
    json: { type: 'boolean' },
  });
  const [first, key, ...rest] = read.positionals;
  const action = actions.find((known) => known === first);
  if (action === undefined) read.problem(`say what to do: ${actions.join(', ')}`);
  if (action === 'list' && key !== undefined) read.problem(`list takes no key; ${key} is one word too many`);
  if (action !== undefined && action !== 'list' && !/^[^/]+\/[^/]+$/.test(key ?? '')) {
    read.problem(`${action} needs a key as NAMESPACE/NAME`);
  }
  if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const overlap = read.text('overlap');
  if (overlap !== undefined && action !== 'rotate') read.problem('--overlap is for rotate');
  const adminUrl = read.text('admin');
  if (adminUrl !== undefined && !/^https?:\/\//.test(adminUrl)) {
    read.problem(`--admin: ${adminUrl} is no URL such as http://127.0.0.1:8788`);
  }
  return read.result({
    action: action ?? 'list',
    dataDir: read.text('data') ?? '.keyforge',
    json: read.flag('json'),
    ...defined({ key, adminUrl, overlap }),
  });
}
