import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Logger, pino } from 'pino';
import { partsOf } from '../../core/names.ts';
import { formatProblem } from '../../core/problem.ts';
import { portChannel } from '../../core/protocol/channel.ts';
import { redaction } from '../../core/redaction.ts';
import { type AdminApiDeps, createAdminApi } from '../api/app.ts';
import { type AdminServer, listenAdmin } from '../api/server.ts';
import { type Broker, createBroker } from '../broker.ts';
import { type RecordEvent, recordOwn } from '../evidence/own-stream.ts';
import { replaceFile } from '../files/replace.ts';
import { watchPaths } from '../files/watch.ts';
import { openTokenFiles } from '../keys/token-files.ts';
import { createBoundDesk } from '../ledger/learn.ts';
import { createPriceDesk } from '../prices/desk.ts';
import { ProviderPrices } from '../prices/prices.ts';
import { serveControl } from '../sessions/port.ts';
import { openDataFolder } from '../store/data-folder.ts';
import type { FromOperator, IssuedKey, OperatorOptions, ToOperator } from './config.ts';
import { NearLimits } from './near-limits.ts';
import { readPolicy } from './read-policy.ts';

/** Runs the standalone operator in a thread of its own, so that no fsync delays a request of the proxy. */
async function run(options: OperatorOptions, notify: (message: FromOperator) => void): Promise<() => Promise<void>> {
  const logger = pino({ level: options.logLevel, redact: redaction }, pino.destination({ dest: 2, sync: true })).child({
    component: 'operator',
  });
  const { store, rootKey } = openDataFolder(options.dataDir, Date.now, logger);
  const files = openTokenFiles(join(options.dataDir, 'tokens'));
  const prices = new ProviderPrices({ decides: () => true, logger });
  const own = { rootKey, random: randomBytes, instance: options.instance };
  const broker: Broker = createBroker({
    ...own,
    store,
    book: (tx, provider, endpoint) => prices.book(tx, provider, endpoint),
    logger,
    poolProblems: 'refuse',
    decides: () => true,
    onChange: () => files.sync(broker.tokens()),
  });
  const stopFollowing = await follow(options, { broker, logger, notify });
  const record: RecordEvent = (tx, event) => recordOwn(tx, event, own);
  const priceDesk = createPriceDesk({ store, prices, record, onChange: () => broker.refresh() });
  const bounds = createBoundDesk({ store, record, onChange: () => broker.refresh() });
  const admin = await startAdmin(options, { desk: broker.desk, prices: priceDesk, bounds, logger });
  const stopServing = serveControl(portChannel(options.control), broker, logger);
  const stopWarning = warnNearLimits(broker, logger);
  notify({ kind: 'started', adminUrl: admin?.url ?? null, keys: issuedKeys(broker) });
  return async () => {
    await stopFollowing();
    await admin?.close();
    rmSync(join(options.dataDir, 'admin.token'), { force: true });
    stopServing();
    stopWarning();
    broker.close();
    store.close();
  };
}

const warnEveryMs = 30_000;

/** Says in the log when a limit is nearly used. Returns how to stop. */
function warnNearLimits({ desk }: Broker, logger: Logger): () => void {
  const limits = new NearLimits();
  const timer = setInterval(() => {
    for (const { key, window, endsAt } of limits.look(desk.list()))
      logger.warn({ key, window, endsAt }, 'at least 80 % of a limit is used: raise it in spec.limits, or expect refusals');
  }, warnEveryMs);
  return () => clearInterval(timer);
}

interface Following {
  readonly broker: Broker;
  readonly logger: Logger;
  readonly notify: (message: FromOperator) => void;
}

/** Adopts the manifests, now and at each change; an edit with problems changes nothing. If it throws StartProblems, the thread ends. */
async function follow(options: OperatorOptions, { broker, logger, notify }: Following): Promise<() => Promise<void>> {
  const adopt = async (missing: 'problem' | 'gone'): Promise<readonly string[]> => {
    const { policy, problems } = await readPolicy({ paths: options.manifests, secrets: options.secrets, missing });
    return (problems.length > 0 ? [...problems, ...policy.missing] : broker.adopt(policy)).map(formatProblem);
  };
  let reloading: Promise<void> = Promise.resolve();
  const reload = async (): Promise<void> => {
    const problems = await adopt('gone').catch((error: unknown) => {
      logger.error({ err: error }, 'KeyForge cannot adopt an edit');
      return ['KeyForge cannot adopt the edit; see the log'];
    });
    notify({ kind: 'reloaded', problems, keys: issuedKeys(broker) });
  };
  // Watching begins before the first reading, so that an edit in between counts as a change.
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

async function startAdmin({ adminListen, dataDir }: OperatorOptions, deps: Omit<AdminApiDeps, 'token'>): Promise<AdminServer | null> {
  if (adminListen === null) return null;
  // A new token at each start, so that a token from an old data folder opens nothing.
  const token = randomBytes(32).toString('base64url');
  replaceFile(join(dataDir, 'admin.token'), `${token}\n`);
  return listenAdmin(createAdminApi({ ...deps, token }), adminListen);
}

function issuedKeys(broker: Broker): readonly IssuedKey[] {
  return [...broker.tokens()].map(([name, key]) => ({ ...partsOf(name), key }));
}

const parent = parentPort;
if (parent === null) throw new Error('operator/standalone/main.ts is the entry of a worker thread');
const notify = (message: FromOperator): void => parent.postMessage(message);
try {
  const stop = await run(workerData as OperatorOptions, notify);
  parent.on('message', ({ kind }: ToOperator) => {
    if (kind === 'stop') void stop().finally(() => parent.close());
  });
} catch (error) {
  notify({
    kind: 'failed',
    problems: error instanceof StartProblems ? error.problems : [error instanceof Error ? error.message : String(error)],
  });
  process.exit(1);
}
