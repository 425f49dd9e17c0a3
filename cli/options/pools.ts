import { defined } from '../../core/json.ts';
import type { Environment } from '../config.ts';
import { type Misuse, Reader } from './reader.ts';

const actions = ['list', 'acknowledge'] as const;

/** The command line of `keyforge pools`, with its environment. */
export interface PoolsOptions {
  readonly action: (typeof actions)[number];
  /** `namespace/name`; always set for `acknowledge`. */
  readonly pool?: string;
  readonly model?: string;
  readonly feature?: string;
  /** Always set for `acknowledge`. */
  readonly reason?: string;
  readonly dataDir: string;
  /** Absent: as `keyforge up` left it in the data folder. */
  readonly adminUrl?: string;
  readonly json: boolean;
}

/** Flags of `keyforge pools`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readPoolsOptions(args: readonly string[], environment: Environment): PoolsOptions | Misuse {
  const text = { type: 'string' } as const;
  const read = new Reader(args, environment, {
    data: text,
    admin: text,
    model: text,
    feature: text,
    reason: text,
    json: { type: 'boolean' },
  });
  const [first, pool, ...rest] = read.positionals;
  const action = actions.find((known) => known === first);
  const reason = read.text('reason');
  if (action === undefined) read.problem(`say what to do: ${actions.join(', ')}`);
  if (action === 'list' && pool !== undefined) read.problem(`list takes no pool; ${pool} is one word too many`);
  if (action === 'acknowledge' && !/^[^/]+\/[^/]+$/.test(pool ?? '')) read.problem('acknowledge needs the NAMESPACE/NAME of a pool');
  if (action === 'acknowledge' && reason === undefined) read.problem('acknowledge needs a --reason, which the audit keeps');
  if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const adminUrl = read.text('admin');
  if (adminUrl !== undefined && !/^https?:\/\//.test(adminUrl)) {
    read.problem(`--admin: ${adminUrl} is no URL such as http://127.0.0.1:8788`);
  }
  return read.result({
    action: action ?? 'list',
    dataDir: read.text('data') ?? '.keyforge',
    json: read.flag('json'),
    ...defined({ adminUrl, pool, reason, model: read.text('model'), feature: read.text('feature') }),
  });
}
