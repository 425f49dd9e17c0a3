import { readFile } from 'node:fs/promises';
import { addressProblem } from '../operator/api/server.ts';
import { SpoolUnavailable } from '../proxy/evidence/spool/spool.ts';
import { connectOperator } from '../proxy/link/session.ts';
import { startProxy } from '../proxy/main.ts';
import { bootId } from './boot-id.ts';
import { readOptions } from './command.ts';
import { createLogger } from './logger.ts';
import { readProxyCommand } from './options/proxy.ts';
import { untilStopped } from './process.ts';
import type { ServerStreams } from './streams.ts';

/** After so long without the operator, the proxy no longer follows the policy that it holds. */
const policyStaleMs = 3_600_000;

const usage = `keyforge proxy --control wss://HOST:PORT/control [--listen 127.0.0.1:8787] [--metrics-listen 0.0.0.0:9464]
               [--data /var/lib/keyforge] [--token-file FILE] [--connections-per-address N] [--allowed-origins ORIGIN,…]
               [--log-level LEVEL]

The data plane in a cluster: the sidecar of one Pod, or the gateway. The operator identifies it by its Pod and decides which keys it serves.

  --control URL          the operator's control port
  --control-ca PEM       text of the operator's root certificate; best as KEYFORGE_CONTROL_CA
  --token-file FILE      service account token for the audience keyforge.dev/control
                         (default /var/run/secrets/kubernetes.io/serviceaccount/token)
  --listen ADDR          where agents call (default 127.0.0.1:8787)
  --metrics-listen ADDR  /metrics, /healthz, /readyz (default 0.0.0.0:9464)
  --data DIR             records until the operator holds them; must outlive a restart (default /var/lib/keyforge)
  --connections-per-address N
                         open connections from one address; leave it out on loopback and behind a trusted proxy, where all have
                         one address (default 0: no limit)
  --allowed-origins ORIGIN,…
                         origins whose pages may call from a browser (default none)
  --log-level LEVEL      trace debug info warn error fatal silent (default info); JSON on stderr

Each flag can be given as KEYFORGE_CONTROL and so on; the flag wins. SIGTERM lets calls in flight finish.
Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge proxy`: resolves to the exit code once a signal stops it. */
export async function runProxy(args: readonly string[], io: ServerStreams): Promise<number> {
  const command = readOptions({ name: 'keyforge proxy', text: usage, read: readProxyCommand }, args, io);
  if (typeof command === 'number') return command;
  const { controlUrl, controlCa, tokenFile, dataDir, listen, metricsListen, connectionsPerAddress, allowedOrigins } = command;
  const logger = createLogger(command.logLevel).child({ component: 'proxy' });
  const monotonic = (): number => performance.now();
  const session = connectOperator({
    url: controlUrl,
    ca: controlCa,
    logger,
    monotonic,
    random: Math.random,
    readToken: async () => (await readFile(tokenFile, 'utf8')).trim(),
  });
  const stopped = untilStopped(io.stop);
  const starting = startProxy({
    control: session,
    instance: session.instance,
    dataDir,
    bootId: bootId(),
    listen,
    metricsListen,
    allowedOrigins,
    logger,
    limits: connectionsPerAddress > 0 ? { connectionsPerAddress } : {},
    isStale: () => monotonic() - session.lastContact() > policyStaleMs,
    waitingFor() {
      const state = session.state();
      return state.kind === 'connected' ? null : `the operator has not let this proxy in: ${state.reason}`;
    },
  });
  try {
    const proxy = await Promise.race([starting, stopped]);
    if (proxy !== undefined) {
      logger.info({ url: proxy.url, metrics: proxy.metricsUrl }, 'serving');
      await stopped;
      await proxy.close();
    }
    return 0;
  } catch (error) {
    const problem = problemOf(error);
    if (problem === null) throw error;
    io.stderr.write(`keyforge proxy: ${problem}\n`);
    return 1;
  } finally {
    session.close();
  }
}

/** What the user can mend: a folder or an address that another process has. Null: a defect. */
function problemOf(error: unknown): string | null {
  if (error instanceof SpoolUnavailable) return error.message;
  return error instanceof Error ? addressProblem(error.cause ?? error) : null;
}
