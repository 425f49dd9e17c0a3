import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from 'pino';
import { portChannel } from '../core/protocol/channel.ts';
import { addressProblem } from '../operator/api/server.ts';
import { replaceFile } from '../operator/files/replace.ts';
import type { IssuedKey } from '../operator/standalone/config.ts';
import { lockFile } from '../proxy/evidence/spool/lock.ts';
import { connectControl } from '../proxy/link/client.ts';
import { type Proxy as DataPlane, startProxy } from '../proxy/main.ts';
import { bootId, readText } from './boot-id.ts';
import { type OperatorThread, StandaloneFailed, startOperator } from './operator-thread.ts';
import type { Address } from './options/reader.ts';

interface StandaloneOptions {
  /** Files and folders of manifests. */
  readonly manifests: readonly string[];
  /** Made with mode 0700 where it is missing; one process at a time. */
  readonly dataDir: string;
  readonly listen: Address;
  /** Loopback only. */
  readonly adminListen: Address | null;
  readonly metricsListen: Address | null;
  /** Origins whose pages may call from a browser. Default: none. */
  readonly allowedOrigins?: readonly string[];
  /** `KEYFORGE_SECRET_*` variables: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** `frozen`: manifests are read once. */
  readonly watch: 'files' | 'frozen';
  readonly logger: Logger;
}

/** Operator and proxy in one process. */
export interface Standalone {
  readonly proxyUrl: string;
  readonly adminUrl: string | null;
  readonly metricsUrl: string | null;
  /** Keys that have a token, as of the last manifests that were adopted. */
  readonly keys: readonly IssuedKey[];
  /** Called after each edit of the manifests; problems non-empty: the last good state keeps serving. Returns how to stop. */
  onReload(listener: (problems: readonly string[]) => void): () => void;
  /** Resolves when the operator died; nothing can be served for long then. */
  readonly failure: Promise<Error>;
  /** Lets calls in flight finish, ships evidence and returns unspent money; then closes everything. */
  close(): Promise<void>;
}

/** Starts everything; rejects with StandaloneFailed where manifests, data folder or addresses do not allow it. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const lock = claim(options.dataDir);
  let operator: OperatorThread | null = null;
  try {
    const instance = instanceOf(options.dataDir);
    const channel = new MessageChannel();
    const { manifests, dataDir, adminListen, secrets, watch, logger, listen, metricsListen, allowedOrigins = [] } = options;
    const logLevel = logger.level;
    operator = await startOperator({ manifests, dataDir, adminListen, secrets, watch, logLevel, instance, control: channel.port1 });
    const control = connectControl(portChannel(channel.port2));
    const proxy = await startProxy({ control, dataDir, instance, bootId: bootId(), listen, metricsListen, allowedOrigins, logger });
    const urlFile = join(options.dataDir, 'admin.url');
    if (operator.adminUrl !== null) replaceFile(urlFile, `${operator.adminUrl}\n`);
    return running(operator, proxy, () => {
      control.close();
      rmSync(urlFile, { force: true });
      lock.release();
    });
  } catch (error) {
    await operator?.stop();
    lock.release();
    throw explained(error);
  }
}

function running(operator: OperatorThread, proxy: DataPlane, release: () => void): Standalone {
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    try {
      await proxy.close();
    } finally {
      await operator.stop();
      release();
    }
  }
  return {
    proxyUrl: proxy.url,
    adminUrl: operator.adminUrl,
    metricsUrl: proxy.metricsUrl,
    get keys() {
      return operator.keys();
    },
    onReload: operator.onReload,
    failure: operator.failure,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/** Makes the data folder private and takes its lock, which the kernel drops however this process ends. */
function claim(dataDir: string): { readonly release: () => void } {
  let lock: ReturnType<typeof lockFile>;
  try {
    mkdirSync(join(dataDir, 'spool'), { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
    lock = lockFile(join(dataDir, 'lock'));
    if (lock !== null && isSpoolLocked(dataDir)) {
      lock.release();
      lock = null;
    }
  } catch (error) {
    throw new StandaloneFailed([`data folder ${dataDir} cannot be used (${codeOf(error)}): give one that this user owns with --data`]);
  }
  if (lock === null)
    throw new StandaloneFailed([`data folder ${dataDir} is in use by another KeyForge: stop it, or give another with --data`]);
  return lock;
}

/** True if a running proxy has the spool: then somebody deleted the folder's own lock, and its operator must not be disturbed either. */
function isSpoolLocked(dataDir: string): boolean {
  const lock = lockFile(join(dataDir, 'spool', 'lock'));
  lock?.release();
  return lock === null;
}

/** The name of this installation in its streams; made once for a data folder. */
function instanceOf(dataDir: string): string {
  const path = join(dataDir, 'instance');
  const known = readText(path)?.trim() ?? '';
  if (/^[a-z0-9-]{1,63}$/.test(known)) return known;
  const instance = `standalone-${randomBytes(4).toString('hex')}`;
  replaceFile(path, `${instance}\n`);
  return instance;
}

/** An address that cannot be had is the user's to mend; everything else stays as it is. */
function explained(error: unknown): unknown {
  const problem = error instanceof Error ? addressProblem(error.cause ?? error) : null;
  return problem === null ? error : new StandaloneFailed([problem]);
}

function codeOf(error: unknown): string {
  return (error as { readonly code?: string }).code ?? 'unknown error';
}
