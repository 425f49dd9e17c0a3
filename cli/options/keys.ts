import { defined } from '../../core/json.ts';
import type { Environment } from '../config.ts';
import { type Misuse, Reader } from './reader.ts';

const actions = ['list', 'revoke', 'rotate', 'credit'] as const;

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
  /** What to credit, as written; absent: everything that can be credited. */
  readonly usd?: string;
  /** Why it is credited; always set for `credit` without `--dry-run`. */
  readonly reason?: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Flags of `keyforge keys`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readKeysOptions(args: readonly string[], environment: Environment): KeysOptions | Misuse {
  const read = new Reader(args, environment, {
    data: { type: 'string' },
    admin: { type: 'string' },
    overlap: { type: 'string' },
    usd: { type: 'string' },
    reason: { type: 'string' },
    'dry-run': { type: 'boolean' },
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
  const credit = readCredit(read, action);
  const adminUrl = read.text('admin');
  if (adminUrl !== undefined && !/^https?:\/\//.test(adminUrl)) {
    read.problem(`--admin: ${adminUrl} is no URL such as http://127.0.0.1:8788`);
  }
  return read.result({
    action: action ?? 'list',
    dataDir: read.text('data') ?? '.keyforge',
    json: read.flag('json'),
    ...credit,
    ...defined({ key, adminUrl, overlap }),
  });
}

function readCredit(read: Reader, action: KeysOptions['action'] | undefined): Pick<KeysOptions, 'usd' | 'reason' | 'dryRun'> {
  const [usd, reason, dryRun] = [read.text('usd'), read.text('reason'), read.flag('dry-run')];
  if (action !== 'credit' && (usd !== undefined || reason !== undefined || dryRun)) {
    read.problem('--usd, --reason and --dry-run are for credit');
  }
  if (action === 'credit' && reason === undefined && !dryRun) {
    read.problem('--reason is missing: the record of a credit says why the money is given back');
  }
  return { dryRun, ...defined({ usd, reason }) };
}
