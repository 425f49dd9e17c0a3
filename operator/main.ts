import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Logger, pino } from 'pino';
import { formatProblem } from '../core/errors.ts';
import { keyName } from '../core/key.ts';
import type { ProviderKind } from '../core/manifest/types.ts';
import type { BookEntry } from '../core/price/types.ts';
import { createAdminApi } from './api/app.ts';
import { type AdminServer, listenAdmin } from './api/server.ts';
import { type Broker, createBroker } from './broker/broker.ts';
import { readPolicy } from './broker/policy.ts';
import { serveControl } from './broker/port.ts';
import { replaceFile } from './broker/replace-file.ts';
import { openTokenFiles, type TokenFiles } from './broker/token-files.ts';
import { loadRootKey } from './collector/root-key.ts';
import { type FromOperator, type IssuedKey, loggerOptions, type OperatorOptions, type ToOperator } from './config.ts';
import { watchPaths } from './files/watch.ts';
import { bookOf } from './prices/genai-prices.ts';
import { openSqliteStore } from './store/sqlite.ts';

/** The operator of standalone: a thread of its own, so that no fsync ever stalls a request of the proxy. */
async function run(options: OperatorOptions, tell: (message: FromOperator) => void): Promise<() => Promise<void>> {
  const logger = pino(loggerOptions(options.logLevel), pino.destination({ dest: 2, sync: true })).child({ component: 'operator' });
  const storePath = join(options.dataDir, 'keyforge.db');
  const rootKeyPath = join(options.dataDir, 'root.key');
  if (existsSync(storePath) && !existsSync(rootKeyPath)) {
    throw new Error(
      `${rootKeyPath} is missing, and without it the records in ${storePath} cannot go on: restore it, or give another data folder`,
    );
  }
  // First the key, so that a crash in between does not look as if it had been lost.
  const rootKey = loadRootKey(rootKeyPath, randomBytes);
  const store = openSqliteStore({
    path: storePath,
    clock: Date.now,
    onClockJump: (jump) =>
      logger.error(jump, 'the clock of this machine jumped; windows of limits go by the store, which only moves forward'),
  });
  const files = openTokenFiles(join(options.dataDir, 'tokens'));
  const broker = createBroker({ store, files, book: dailyBooks(), random: randomBytes, rootKey, instance: options.instance, logger });
  const stopFollowing = await follow(options, { broker, files, logger, tell });
  const admin = await startAdmin(options, broker, logger);
  const stopServing = serveControl(options.control, broker, logger);
  tell({ kind: 'started', adminUrl: admin?.url ?? null, keys: issuedKeys(broker, files) });
  return async () => {
    await stopFollowing();
    await admin?.close();
    rmSync(join(options.dataDir, 'admin.token'), { force: true });
    stopServing();
    broker.close();
    store.close();
  };
}

interface Following {
  readonly broker: Broker;
  readonly files: TokenFiles;
  readonly logger: Logger;
  readonly tell: (message: FromOperator) => void;
}

/** Adopts the manifests, and again at each change of theirs; an edit with problems changes nothing. Throws StartProblems; the thread then ends. */
async function follow(options: OperatorOptions, { broker, files, logger, tell }: Following): Promise<() => Promise<void>> {
  const adopt = async (missing: 'problem' | 'gone'): Promise<readonly string[]> => {
    const { policy, problems } = await readPolicy({ paths: options.manifests, secrets: options.secrets, missing });
    return (problems.length > 0 ? [...problems, ...policy.missing] : broker.adopt(policy)).map(formatProblem);
  };
  let reloading: Promise<void> = Promise.resolve();
  const reload = async (): Promise<void> => {
    const problems = await adopt('gone').catch((error: unknown) => {
      logger.error({ err: error }, 'an edit could not be adopted');
      return ['the edit could not be adopted; the log says why'];
    });
    tell({ kind: 'reloaded', problems, keys: issuedKeys(broker, files) });
  };
  // Watching begins before the first reading: an edit in between is seen as a change.
  const onChange = (): void => {
    reloading = reloading.then(reload);
  };
  const watch = options.watch === 'files' ? watchPaths(options.manifests, onChange) : null;
  await watch?.ready;
  const problems = await adopt('problem');
  if (problems.length > 0) throw new StartProblems(problems);
  return () => {
    watch?.close();
    return reloading;
  };
}

/** The manifests cannot be served. */
class StartProblems extends Error {
  override readonly name = 'StartProblems';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

async function startAdmin({ adminListen, dataDir }: OperatorOptions, { desk }: Broker, logger: Logger): Promise<AdminServer | null> {
  if (adminListen === null) return null;
  // A new one each start: what was read from an old data folder opens nothing.
  const token = randomBytes(32).toString('base64url');
  replaceFile(join(dataDir, 'admin.token'), `${token}\n`);
  return listenAdmin(createAdminApi({ desk, token, logger }), adminListen);
}

function issuedKeys(broker: Broker, files: TokenFiles): readonly IssuedKey[] {
  return broker.desk.list().flatMap(({ namespace, name, hint, parent }) => {
    const key = hint === undefined || parent !== undefined ? null : files.read(keyName(namespace, name));
    return key === null ? [] : [{ namespace, name, key }];
  });
}

/** Price books, compiled once a day each: prices change on announced dates. */
function dailyBooks(): (provider: ProviderKind) => readonly BookEntry[] {
  const books = new Map<ProviderKind, { readonly day: number; readonly book: readonly BookEntry[] }>();
  return (provider) => {
    const day = Math.floor(Date.now() / 86_400_000);
    const known = books.get(provider);
    if (known?.day === day) return known.book;
    const book = bookOf(provider, Date.now());
    books.set(provider, { day, book });
    return book;
  };
}

const parent = parentPort;
if (parent === null) throw new Error('operator/main.ts is the entry of a worker thread');
const tell = (message: FromOperator): void => parent.postMessage(message);
try {
  const stop = await run(workerData as OperatorOptions, tell);
  parent.on('message', ({ kind }: ToOperator) => {
    if (kind === 'stop') void stop().finally(() => parent.close());
  });
} catch (error) {
  tell({
    kind: 'failed',
    problems: error instanceof StartProblems ? error.problems : [error instanceof Error ? error.message : String(error)],
  });
  process.exit(1);
}
