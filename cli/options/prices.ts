import { defined } from '../../core/json.ts';
import type { Environment } from '../config.ts';
import { type Misuse, Reader } from './reader.ts';

const actions = ['list', 'acknowledge'] as const;

/** The command line of `keyforge prices`, with its environment. */
export interface PricesOptions {
  readonly action: (typeof actions)[number];
  /** Always set for `acknowledge`. */
  readonly provider?: string;
  /** Absent: all models of the provider. */
  readonly model?: string;
  readonly dataDir: string;
  /** Absent: as `keyforge up` left it in the data folder. */
  readonly adminUrl?: string;
  readonly json: boolean;
}

/** Flags of `keyforge prices`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readPricesOptions(args: readonly string[], environment: Environment): PricesOptions | Misuse {
  const read = new Reader(args, environment, { data: { type: 'string' }, admin: { type: 'string' }, json: { type: 'boolean' } });
  const [first, target, ...rest] = read.positionals;
  const action = actions.find((known) => known === first);
  if (action === undefined) read.problem(`say what to do: ${actions.join(', ')}`);
  if (action === 'list' && target !== undefined) read.problem(`list takes no model; ${target} is one word too many`);
  if (action === 'acknowledge' && target === undefined) read.problem('acknowledge needs a PROVIDER, or PROVIDER/MODEL');
  if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const adminUrl = read.text('admin');
  if (adminUrl !== undefined && !/^https?:\/\//.test(adminUrl)) {
    read.problem(`--admin: ${adminUrl} is no URL such as http://127.0.0.1:8788`);
  }
  // A model's name may contain slashes.
  const [provider, ...model] = target?.split('/') ?? [];
  return read.result({
    action: action ?? 'list',
    dataDir: read.text('data') ?? '.keyforge',
    json: read.flag('json'),
    ...defined({ adminUrl, provider, model: model.length === 0 ? undefined : model.join('/') }),
  });
}
