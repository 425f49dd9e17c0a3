import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { readEnvironment } from '../config.ts';
import { createLogger } from '../logger.ts';
import { StandaloneFailed } from '../operator-thread.ts';
import { runProcess } from '../process.ts';
import { type Standalone, startStandalone } from '../standalone.ts';
import type { Streams } from '../streams.ts';
import { followCalls } from './follow.ts';
import { quickstartPools } from './pools.ts';
import { welcomeText } from './welcome.ts';

const root = join(import.meta.dirname, '..', '..');
const host = '127.0.0.1';

/** `npm start`: the quick start, with simulated providers where there is no credential. */
async function start({ stdout, stderr }: Streams): Promise<number> {
  const dataDir = join(root, '.keyforge');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const pools = await quickstartPools(join(root, 'examples', 'quickstart'), dataDir, readEnvironment());
  const standalone = await startStandalone({
    manifests: pools.manifests,
    dataDir,
    listen: { host, port: await freePort(8787, stderr) },
    adminListen: { host, port: await freePort(8788, stderr) },
    metricsListen: { host, port: await freePort(9464, stderr) },
    secrets: pools.secrets,
    watch: 'files',
    logger: createLogger('warn'),
  });
  const token = standalone.keys.find((key) => key.name === 'quickstart')?.key ?? '';
  stdout.write(`${welcomeText({ ...standalone, token, simulated: pools.simulated })}\n`);
  const stopFollowing = followCalls(
    dataDir,
    () => remainingUsd(standalone, token),
    (line) => stdout.write(`${line}\n`),
  );
  standalone.onReload((problems) => {
    for (const problem of problems) stderr.write(`keyforge: not adopted, the last good state stays in force: ${problem}\n`);
  });
  const failure = await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), standalone.failure]);
  if (failure instanceof Error) throw failure;
  stdout.write('\nKeyForge stops; calls in flight may finish.\n');
  await stopFollowing();
  await standalone.close();
  await pools.simulation?.close();
  return 0;
}

/** The port, or 0 (any) where another program has it. */
async function freePort(port: number, stderr: Streams['stderr']): Promise<number> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
    return port;
  } catch {
    stderr.write(`keyforge: port ${port} is taken; another is used\n`);
    return 0;
  } finally {
    probe.close();
  }
}

/** What the key has left, as its holder sees it. */
async function remainingUsd(standalone: Standalone, token: string): Promise<string | undefined> {
  const response = await fetch(`${standalone.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${token}` } });
  const self = (await response.json()) as { readonly remainingUsd?: string };
  return self.remainingUsd;
}

await runProcess((io) =>
  start(io).catch((error: unknown) => {
    if (!(error instanceof StandaloneFailed)) throw error;
    for (const problem of error.problems) io.stderr.write(`keyforge: ${problem}\n`);
    return 1;
  }),
);
