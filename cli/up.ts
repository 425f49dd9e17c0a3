import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { readOptions } from './command.ts';
import { crashText } from './crash.ts';
import { createLogger } from './logger.ts';
import { StandaloneFailed } from './operator-thread.ts';
import { readUpOptions, type UpOptions } from './options/up.ts';
import { untilStopped } from './process.ts';
import { type Standalone, startStandalone } from './standalone.ts';
import { exportLines } from './start/welcome.ts';
import type { ServerStreams, Streams } from './streams.ts';

const usage = `keyforge up -f PATH… [--listen 127.0.0.1:8787] [--admin-listen 127.0.0.1:8788]
            [--metrics-listen 127.0.0.1:9464] [--data DIR] [--allowed-origins ORIGIN,…] [--json] [--log-level LEVEL]

Runs KeyForge in one process: policy, budgets, records and the proxy that agents call.

  -f, --file PATH        a manifest file or a folder of them; may be repeated. Files are watched: an edit takes effect
                         in under a second, and one with mistakes changes nothing.
  --listen ADDR          where agents call (default 127.0.0.1:8787)
  --admin-listen ADDR    where \`keyforge keys\` calls; loopback only (default 127.0.0.1:8788)
  --metrics-listen ADDR  /metrics, /healthz, /readyz (default 127.0.0.1:9464)
  --data DIR             keys, budgets and records; private to this user (default .keyforge)
  --allowed-origins ORIGIN,…
                         origins whose pages may call from a browser, such as http://localhost:3000 (default none)
  --json                 first line of stdout: {"ready":true,"proxy","admin","metrics","keys":[{"namespace","name","key"}]}
  --log-level LEVEL      trace debug info warn error fatal silent (default warn, with --json info); logs go to stderr

Each flag can be given as KEYFORGE_FILE (paths joined by ":"), KEYFORGE_LISTEN and so on; the flag wins.
A credential that a ProviderPool names is looked up among the manifests, then as KEYFORGE_SECRET_<NAME>_<KEY>.
SIGTERM or SIGINT lets calls in flight finish; a second one ends at once.
Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge up`: resolves to the exit code once a signal stops it or the operator fails. */
export async function runUp(args: readonly string[], io: ServerStreams): Promise<number> {
  const options = readOptions({ name: 'keyforge up', text: usage, read: readUpOptions }, args, io);
  if (typeof options === 'number') return options;
  const logger = createLogger(options.logLevel);
  try {
    const standalone = await startStandalone({ ...options, watch: 'files', logger });
    return await serveUntilStopped(standalone, { options, io, logger });
  } catch (error) {
    if (!(error instanceof StandaloneFailed)) throw error;
    for (const problem of error.problems) io.stderr.write(`keyforge up: ${problem}\n`);
    return 1;
  }
}

interface Up {
  readonly options: UpOptions;
  readonly io: ServerStreams;
  readonly logger: Logger;
}

async function serveUntilStopped(standalone: Standalone, { options, io, logger }: Up): Promise<number> {
  io.stdout.write(options.json ? readyLine(standalone) : welcome(standalone, options.dataDir));
  standalone.onReload((problems) => {
    if (options.json) logReload(logger, problems);
    else printReload(io, problems);
  });
  const outcome = await Promise.race([untilStopped(io.stop), standalone.failure]);
  if (outcome instanceof Error) io.stderr.write(`keyforge up: the operator ended: ${crashText(outcome)}\n`);
  else if (!options.json) io.stderr.write('keyforge up: calls in flight may finish; a second signal ends at once\n');
  await standalone.close();
  return outcome instanceof Error ? 1 : 0;
}

function logReload(logger: Logger, problems: readonly string[]): void {
  if (problems.length === 0) logger.info('manifests were read again');
  else logger.error({ problems }, 'the edit has mistakes; the last good manifests keep serving');
}

function printReload({ stdout, stderr }: Streams, problems: readonly string[]): void {
  if (problems.length === 0) stdout.write('manifests were read again\n');
  else
    stderr.write(`the edit has mistakes; the last good manifests keep serving:\n${problems.map((problem) => `  ${problem}\n`).join('')}`);
}

/** The contract with scripts: one line, tokens included. */
function readyLine({ proxyUrl, adminUrl, metricsUrl, keys }: Standalone): string {
  return `${JSON.stringify({ ready: true, proxy: proxyUrl, admin: adminUrl, metrics: metricsUrl, keys })}\n`;
}

function welcome({ proxyUrl, adminUrl, metricsUrl, keys }: Standalone, dataDir: string): string {
  const tokenFile = (key: { readonly namespace: string; readonly name: string }) => join(dataDir, 'tokens', key.namespace, key.name);
  const width = Math.max(0, ...keys.map(({ namespace, name }) => namespace.length + name.length + 1));
  const lines = [
    'KeyForge is ready',
    `  proxy    ${proxyUrl}`,
    `  admin    ${adminUrl}  (keyforge keys list --data ${dataDir})`,
    `  metrics  ${metricsUrl}/metrics`,
    '',
    keys.length === 0 ? 'no key has a token' : 'keys, each with its token in a file',
    ...keys.map((key) => `  ${`${key.namespace}/${key.name}`.padEnd(width)}  vk_…${key.key.slice(-4)}  ${tokenFile(key)}`),
  ];
  const [first] = keys;
  if (first !== undefined) lines.push('', 'try', ...trial(proxyUrl, resolve(tokenFile(first))));
  return `${lines.join('\n')}\n`;
}

function trial(proxyUrl: string, tokenFile: string): readonly string[] {
  return [...exportLines(proxyUrl, `$(cat '${tokenFile}')`), '  curl "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"'];
}
