import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRecords } from '../../operator/store/recorded-calls.ts';
import { readEnvironment } from '../config.ts';
import { createLogger } from '../logger.ts';
import { StandaloneFailed } from '../operator-thread.ts';
import { startStandalone } from '../standalone.ts';
import type { Streams } from '../streams.ts';
import { runCommand } from './command.ts';
import { commandEnvironment, scrub, secretsOf } from './environment.ts';
import { type Execve, type Handover, handOver, receiveHandover } from './handover.ts';
import { readRunManifests } from './manifests.ts';
import { parseRunOptions, type RunOptions, runUsage } from './options.ts';
import { summarise } from './summary.ts';

/** Our own failures, as `env`, `timeout` and `docker run` number them. */
const ownFailure = 125;

/** `keyforge run`: one command with a key, a proxy and a budget of its own. Resolves to the exit code. */
export async function runRun(args: readonly string[], io: Streams): Promise<number> {
  const complain = (message: string): unknown => io.stderr.write(`keyforge: ${message}\n`);
  const options = parseRunOptions(args);
  if ('help' in options) {
    io.stdout.write(runUsage);
    return 0;
  }
  if ('problems' in options) {
    for (const problem of options.problems) complain(problem);
    return ownFailure;
  }
  const ready = await prepare(options, complain);
  if (ready === undefined) return ownFailure;
  const folder = await mkdtemp(join(tmpdir(), 'keyforge-run-'));
  try {
    return await runIn(folder, { options, ...ready, io });
  } catch (error) {
    for (const problem of problemsOf(error)) complain(problem);
    return ownFailure;
  } finally {
    if (options.keepData) complain(`data kept in ${folder}: keyforge audit tail --data ${join(folder, 'data')}`);
    else await rm(folder, { recursive: true, force: true });
  }
}

function problemsOf(error: unknown): readonly string[] {
  if (error instanceof StandaloneFailed) return error.problems;
  return [error instanceof Error ? error.message : String(error)];
}

/** Reads environment and manifests once; in the first of the two processes this does not return. */
async function prepare(options: RunOptions, complain: (message: string) => unknown): Promise<Handover | undefined> {
  const environment = readEnvironment();
  const received = receiveHandover(environment);
  if (received !== undefined) return received;
  const manifests = await readRunManifests(options, secretsOf(environment));
  if ('problems' in manifests) {
    for (const problem of manifests.problems) complain(problem);
    return undefined;
  }
  const handover = { manifests, environment: scrub(environment, manifests.secrets) };
  handOver(handover, { execPath: process.execPath, args: selfArguments(), execve: process.execve as Execve | undefined });
  complain('this system cannot hide the environment that KeyForge was started with: CMD may read credentials there');
  return handover;
}

/** The same program again, without the signal that would let any process of this user open its inspector. */
function selfArguments(): readonly string[] {
  const flag = '--disable-sigusr1';
  const flags = process.execArgv.includes(flag) ? process.execArgv : [...process.execArgv, flag];
  return [...flags, ...process.argv.slice(1)];
}

interface Run extends Handover {
  readonly options: RunOptions;
  readonly io: Streams;
}

async function runIn(folder: string, { options, manifests, environment, io }: Run): Promise<number> {
  const frozen = join(folder, 'manifests');
  const dataDir = join(folder, 'data');
  await mkdir(frozen, { mode: 0o700 });
  for (const [index, document] of manifests.documents.entries()) {
    await writeFile(join(frozen, `${index}.json`), JSON.stringify(document), { mode: 0o600 });
  }
  const standalone = await startStandalone({
    manifests: [frozen],
    dataDir,
    listen: { host: '127.0.0.1', port: 0 },
    adminListen: null,
    metricsListen: null,
    secrets: manifests.secrets,
    watch: 'frozen',
    logger: createLogger('error'),
  });
  standalone.failure.then((error) => io.stderr.write(`keyforge: calls are refused from now on: ${error.message}\n`));
  let code = ownFailure;
  try {
    const key = standalone.keys.find((each) => `${each.namespace}/${each.name}` === manifests.key);
    if (key === undefined) throw new Error(`${manifests.key} has no token: set issueToken: true`);
    code = await runCommand(options.command, commandEnvironment(environment, standalone.proxyUrl, key.key), {
      isTerminal: process.stdin.isTTY,
      complain: (message) => io.stderr.write(`keyforge: ${message}\n`),
    });
  } finally {
    await standalone.close();
  }
  io.stderr.write(`${summarise(readRecords(dataDir))}\n`);
  return code;
}
