import { pino } from 'pino';
import { connectKube } from '../../operator/kube/client.ts';
import { createElector } from '../../operator/kube/elector.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { secrets } from '../../operator/kube/resources.ts';

/** A process of its own for runtime.test.ts: `elect KUBECONFIG IDENTITY` or `cache KUBECONFIG`. */
const [mode = '', kubeconfig = '', identity = ''] = process.argv.slice(2);
const logger = pino({ level: 'silent' });
const say = (line: string) => process.stdout.write(`${line}\n`);

if (mode === 'elect') elect();
else await cache();

/** Says `act WALLMS` about each 5 ms while it may write. */
function elect(): void {
  const client = connectKube({ kubeconfig, logger, timeoutMs: 4_000 });
  const elector = createElector({
    client,
    namespace: 'runtime',
    name: 'election',
    identity,
    leaseMs: 8_000,
    renewDeadlineMs: 5_000,
    retryMs: 300,
    requestTimeoutMs: 2_000,
    onStarted: () => void say(`leads ${Date.now()}`),
    onStopped: () => void say(`stopped ${Date.now()}`),
    logger,
    clock: Date.now,
  });
  elector.start();
  const acts = setInterval(() => {
    if (elector.leads()) say(`act ${Date.now()}`);
  }, 5);
  process.once('SIGTERM', () => {
    clearInterval(acts);
    void elector.close().then(() => client.close());
  });
}

/** Says by how many bytes this process grew while it held the metadata of every Secret. */
async function cache(): Promise<void> {
  const client = connectKube({ kubeconfig, logger });
  await client.list(secrets, { namespace: 'default' });
  const before = process.memoryUsage.rss();
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 10);
  const reflector = createReflector({ client, resource: secrets, scope: { content: 'metadata' }, onChange: () => undefined, logger });
  reflector.start();
  await reflector.synced;
  say(JSON.stringify({ grownBytes: most - before, objects: reflector.all().length }));
  clearInterval(sampling);
  await reflector.close();
  await client.close();
}
