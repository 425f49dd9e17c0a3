import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Address } from './address.ts';
import { type Environment, type Flags, reader } from './reader.ts';

/** What `keyforge up` was asked for. */
export interface UpOptions {
  readonly manifests: readonly string[];
  readonly listen: Address;
  readonly adminListen: Address;
  readonly metricsListen: Address;
  readonly dataDir: string;
  readonly json: boolean;
  readonly logLevel: string;
  /** `KEYFORGE_SECRET_*`. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** What `keyforge keys` was asked for. */
export interface KeysOptions {
  readonly action: 'list' | 'revoke' | 'rotate';
  /** `NAMESPACE/NAME`; always set but for `list`. */
  readonly key?: string;
  readonly dataDir: string;
  /** Absent: as `keyforge up` left it in the data folder. */
  readonly adminUrl?: string;
  /** A duration such as `24h`, as written; the operator reads it. */
  readonly overlap?: string;
  readonly json: boolean;
}

/** What `keyforge audit` was asked for. */
export interface AuditOptions {
  readonly verb: 'verify' | 'tail';
  readonly dataDir: string;
  /** `NAMESPACE/NAME`; absent: all keys. */
  readonly key?: string;
  readonly json: boolean;
}

/** Every mistake in flags and environment. */
export interface Misuse {
  readonly problems: readonly string[];
}

/** Levels of pino. */
export const levels: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** Flags of `keyforge up`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readUpOptions(args: readonly string[], environment: Environment = process.env): UpOptions | Misuse {
  const read = reader(args, environment, {
    file: { type: 'string', short: 'f', multiple: true },
    listen: { type: 'string' },
    'admin-listen': { type: 'string' },
    'metrics-listen': { type: 'string' },
    data: { type: 'string' },
    json: { type: 'boolean' },
    'log-level': { type: 'string' },
  });
  // `-f *.yaml`: the shell leaves all but the first as positionals.
  const manifests = [...read.texts('file'), ...read.positionals];
  if (manifests.length === 0) read.problem('no manifests: name a file or folder with -f PATH (or KEYFORGE_FILE)');
  const json = read.flag('json');
  const options: UpOptions = {
    manifests,
    listen: read.address('listen', '127.0.0.1:8787'),
    adminListen: read.address('admin-listen', '127.0.0.1:8788'),
    metricsListen: read.address('metrics-listen', '127.0.0.1:9464'),
    dataDir: read.text('data') ?? '.keyforge',
    json,
    logLevel: read.text('log-level') ?? (json ? 'info' : 'warn'),
    secrets: secretsOf(environment),
  };
  if (!levels.includes(options.logLevel)) read.problem(`--log-level: ${options.logLevel} is none of ${levels.join(', ')}`);
  if (!isLoopback(options.adminListen.host)) {
    read.problem(
      `--admin-listen: ${options.adminListen.host} is not loopback, and who reaches the admin API rules every key; use 127.0.0.1`,
    );
  }
  const holder = manifests.find((path) => isReadWith(path, options.dataDir));
  if (holder !== undefined) {
    read.problem(
      `--data: ${options.dataDir} lies in ${holder}, which is read whole as manifests; give a folder outside it, or a hidden one such as ${holder}/.keyforge`,
    );
  }
  return read.problems.length > 0 ? { problems: read.problems } : options;
}

/** True where reading the manifests of a folder would come upon another one. Hidden entries are passed over. */
function isReadWith(folder: string, inner: string): boolean {
  const way = relative(resolve(folder), resolve(inner));
  return !isAbsolute(way) && !way.split(sep).some((step) => step.startsWith('.'));
}

const actions = ['list', 'revoke', 'rotate'] as const;

/** Flags of `keyforge keys`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readKeysOptions(args: readonly string[], environment: Environment = process.env): KeysOptions | Misuse {
  const read = reader(args, environment, {
    data: { type: 'string' },
    admin: { type: 'string' },
    overlap: { type: 'string' },
    json: { type: 'boolean' },
  });
  const [first, key, ...rest] = read.positionals;
  const action = actions.find((known) => known === first);
  if (action === undefined) read.problem(`say what to do: ${actions.join(', ')}`);
  if (action === 'list' && key !== undefined) read.problem(`list takes no key; ${key} is one word too many`);
  if (action !== undefined && action !== 'list' && !/^[^/]+\/[^/]+$/.test(key ?? ''))
    read.problem(`${action} needs a key as NAMESPACE/NAME`);
  if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const overlap = read.text('overlap');
  if (overlap !== undefined && action !== 'rotate') read.problem('--overlap is for rotate');
  const adminUrl = read.text('admin');
  if (adminUrl !== undefined && !/^https?:\/\//.test(adminUrl))
    read.problem(`--admin: ${adminUrl} is no URL such as http://127.0.0.1:8788`);
  if (read.problems.length > 0 || action === undefined) return { problems: read.problems };
  return {
    action,
    dataDir: read.text('data') ?? '.keyforge',
    json: read.flag('json'),
    ...(key !== undefined && { key }),
    ...(adminUrl !== undefined && { adminUrl }),
    ...(overlap !== undefined && { overlap }),
  };
}

const auditVerbs = ['verify', 'tail'] as const;

/** Flags of `keyforge audit`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readAuditOptions(args: readonly string[], environment: Environment = process.env): AuditOptions | Misuse {
  const verb = auditVerbs.find((known) => known === args[0]);
  const flags: Flags = { data: { type: 'string' }, ...(verb === 'verify' ? {} : { key: { type: 'string' }, json: { type: 'boolean' } }) };
  const read = reader(args, environment, flags);
  const [, ...rest] = read.positionals;
  if (verb === undefined) read.problem(`say what to do: ${auditVerbs.join(', ')}`);
  else if (rest.length > 0) read.problem(`too many words: ${rest.join(' ')}`);
  const dataDir = read.text('data');
  if (dataDir === undefined) read.problem('--data DIR is missing (or KEYFORGE_DATA)');
  const key = verb === 'tail' ? read.text('key') : undefined;
  if (read.problems.length > 0 || verb === undefined || dataDir === undefined) return { problems: read.problems };
  return { verb, dataDir, json: verb === 'tail' && read.flag('json'), ...(key !== undefined && { key }) };
}

/** True for addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  // An address that could not be read was reported already.
  return host === '' || host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function secretsOf(environment: Environment): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value !== undefined && name.startsWith('KEYFORGE_SECRET_') ? [[name, value]] : [],
    ),
  );
}
