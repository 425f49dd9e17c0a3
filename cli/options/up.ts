import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Environment } from '../config.ts';
import { givenSecrets } from '../run/environment.ts';
import { type Address, isLoopback, type Misuse, Reader } from './reader.ts';

/** The command line of `keyforge up`, with its environment. */
export interface UpOptions {
  readonly manifests: readonly string[];
  readonly listen: Address;
  readonly adminListen: Address;
  readonly metricsListen: Address;
  readonly dataDir: string;
  /** Origins whose pages may call from a browser. */
  readonly allowedOrigins: readonly string[];
  readonly json: boolean;
  readonly logLevel: string;
  /** `KEYFORGE_SECRET_*`. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** Flags of `keyforge up`, each with its `KEYFORGE_*` equivalent; a flag wins. */
export function readUpOptions(args: readonly string[], environment: Environment): UpOptions | Misuse {
  const read = new Reader(args, environment, {
    file: { type: 'string', short: 'f', multiple: true },
    listen: { type: 'string' },
    'admin-listen': { type: 'string' },
    'metrics-listen': { type: 'string' },
    data: { type: 'string' },
    'allowed-origins': { type: 'string' },
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
    allowedOrigins: read.origins('allowed-origins'),
    json,
    logLevel: read.logLevel(json ? 'info' : 'warn'),
    secrets: givenSecrets(environment),
  };
  if (!isLoopback(options.adminListen)) {
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
  return read.result(options);
}

/** True where reading the manifests of a folder would come upon another one. Hidden entries are passed over. */
function isReadWith(folder: string, inner: string): boolean {
  const way = relative(resolve(folder), resolve(inner));
  return !isAbsolute(way) && !way.split(sep).some((step) => step.startsWith('.'));
}
