import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Standalone, startStandalone } from '../standalone.ts';
import { readProviderKeys } from './config.ts';
import { followCalls } from './follow.ts';
import { quickstartPools } from './pools.ts';
import { welcomeText } from './welcome.ts';

const root = join(import.meta.dirname, '..', '..');
const host = '127.0.0.1';

/** `npm start`: the quick start, with simulated providers where there is no credential. */
async function start(): Promise<void> {
  const dataDir = join(root, '.keyforge');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const pools = await quickstartPools(join(root, 'examples', 'quickstart'), dataDir, readProviderKeys());
  const standalone = await startStandalone({
    manifests: pools.manifests,
    dataDir,
    listen: { host, port: await freePort(8787) },
    adminListen: { host, port: await freePort(8788) },
    metricsListen: { host, port: await freePort(9464) },
    secrets: pools.secrets,
    watch: 'files',
    logger: pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true })),
  });
  const token = standalone.keys.find((key) => key.name === 'quickstart')?.key ?? '';
  process.stdout.write(`${welcomeText({ ...standalone, token, simulated: pools.simulated })}\n`);
  const stopFollowing = followCalls(
    dataDir,
    () => remainingUsd(standalone, token),
    (line) => process.stdout.write(`${line}\n`),
  );
  standalone.onReload((problems) => {
    for (const problem of problems) process.stderr.write(`keyforge: not adopted, the last good state goes on: ${problem}\n`);
  });
  const failure = await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), standalone.failure]);
  if (failure instanceof Error) throw failure;
  process.stdout.write('\nKeyForge stops: calls in flight are let finish.\n');
  await stopFollowing();
  await standalone.close();
  await pools.simulation?.close();
}

/** The port, or 0 (any) where another program has it. */
async function freePort(port: number): Promise<number> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
    return port;
  } catch {
    process.stderr.write(`keyforge: port ${port} is taken; another is used\n`);
    return 0;
  } finally {
    probe.close();
  }
}

/** What the key has left, as it is told itself. */
async function remainingUsd(standalone: Standalone, token: string): Promise<string | undefined> {
  const response = await fetch(`${standalone.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${token}` } });
  const self = (await response.json()) as { readonly remainingUsd?: string };
  return self.remainingUsd;
}

await start();
