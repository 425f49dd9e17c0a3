import { defined } from '../../core/json.ts';
import type { Environment } from '../config.ts';
import { type Flags, type Misuse, Reader } from './reader.ts';

/** The command line of `keyforge audit`, with its environment. */
export interface AuditOptions {
  readonly verb: 'verify' | 'tail';
  readonly dataDir: string;
  /** `NAMESPACE/NAME`; absent: all keys. */
  readonly key?: string;
  readonly json: boolean;
}

/** Each verb with its flags. */
const verbs: Readonly<Record<AuditOptions['verb'], Flags>> = {
  verify: { data: { type: 'string' } },
  tail: { data: { type: 'string' }, key: { type: 'string' }, json: { type: 'boolean' } },
};

/** Flags of `keyforge audit`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readAuditOptions(args: readonly string[], environment: Environment): AuditOptions | Misuse {
  const verb = args[0] === 'verify' || args[0] === 'tail' ? args[0] : undefined;
  const read = new Reader(args, environment, verbs[verb ?? 'tail']);
  const rest = read.positionals.slice(1);
  if (verb === undefined) read.problem(`say what to do: ${Object.keys(verbs).join(', ')}`);
  else if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const dataDir = read.text('data');
  if (dataDir === undefined) read.problem('--data DIR is missing (or KEYFORGE_DATA)');
  return read.result({
    verb: verb ?? 'tail',
    dataDir: dataDir ?? '',
    json: verb === 'tail' && read.flag('json'),
    ...defined({ key: verb === 'tail' ? read.text('key') : undefined }),
  });
}
