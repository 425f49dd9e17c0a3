/**
 * `npm run bench:watch [-- MINUTES]` (5): reflectors against a real API server and etcd while Secrets are made, changed, relabelled, deleted and made
 * again, the API server is killed and started, and etcd is compacted. At each rest an auditor lists what there is, over a client of its own, and compares
 * it with what was told: the last write was told, so whatever differs was missed. Prints memory and connections at the first and the last rest.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { connectKube } from '../operator/kube/client.ts';
import { createReflector, type ReflectorOptions } from '../operator/kube/reflector.ts';
import { secrets } from '../operator/kube/resources.ts';
import type { KubeClient, KubeObject, Scope } from '../operator/kube/types.ts';
import { until } from '../operator/kube/until.fixture.ts';
import { startControlPlane } from '../test/cluster/control-plane.ts';
import { memoryMb } from './process.ts';

const namespace = 'soak';
const writingMs = 20_000;
const counts = { writes: 0, told: 0, lists: 0, audits: 0, missed: 0, wrong: 0 };
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const plane = await startControlPlane();
await plane.createNamespace(namespace);
const logger = pino({ level: 'silent' });
const client = connectKube({ kubeconfig: plane.adminKubeconfigPath, logger });
const counting: KubeClient = {
  ...client,
  list(...call) {
    counts.lists += 1;
    return client.list(...call);
  },
};
const print = ({ metadata: { uid, resourceVersion } }: KubeObject): string => `${uid} ${resourceVersion}`;

/** What a consumer of the changes knows, by name; a change that does not follow from the one before is wrong. */
function watched(scope: Scope) {
  const told = new Map<string, string>();
  const onChange: ReflectorOptions['onChange'] = (kind, object, previous) => {
    const { name, uid } = object.metadata;
    counts.told += 1;
    const follows = previous === undefined ? kind === 'put' && !told.has(name) : told.get(name) === print(previous);
    if (!follows || (previous?.metadata.uid ?? uid) !== uid) counts.wrong += 1;
    if (kind === 'put') told.set(name, print(object));
    else told.delete(name);
  };
  return { told, scope, reflector: createReflector({ client: counting, resource: secrets, scope, onChange, logger }) };
}

/** Of the second, objects also go and come with their label. */
const all = [watched({ namespace }), watched({ namespace, labelSelector: 'in=yes', content: 'metadata' })];
for (const { reflector } of all) reflector.start();

async function write(): Promise<void> {
  for (const untilMs = performance.now() + writingMs; performance.now() < untilMs; ) {
    const [dice, name] = [Math.random(), `s-${Math.floor(Math.random() * 500)}`];
    const labels = { in: Math.random() < 0.7 ? 'yes' : 'no' };
    const object = { metadata: { namespace, name, labels }, stringData: { x: 'x'.repeat(Math.random() * 2_000) } };
    try {
      if (dice < 0.3) await client.remove(secrets, object.metadata);
      if (dice > 0.15) await client.apply(secrets, object);
      counts.writes += 1;
    } catch {
      await pause(100); // the API server is away
    }
  }
}

async function audit(): Promise<void> {
  const stringData = { at: `${performance.now()}` };
  const last = await client.apply(secrets, { metadata: { namespace, name: 'last', labels: { in: 'yes' } }, stringData });
  await until(() => all.every(({ told }) => told.get('last') === print(last)), 60_000);
  for (const { scope, reflector, told } of all) {
    const path = `/api/v1/namespaces/${namespace}/secrets?labelSelector=${scope.labelSelector ?? ''}`;
    const { body } = await plane.client.request('GET', path);
    const byName = (objects: readonly KubeObject[]) => new Map(objects.map((object) => [object.metadata.name, print(object)]));
    const [truth, held] = [byName(body.items), byName(reflector.all())];
    for (const name of new Set([...truth.keys(), ...told.keys(), ...held.keys()]))
      if (told.get(name) !== truth.get(name) || held.get(name) !== truth.get(name)) counts.missed += 1;
  }
  counts.audits += 1;
}

async function rest(): Promise<void> {
  await pause(8_000); // by then, connections that nobody uses are closed
  collect();
  const heapMb = process.memoryUsage().heapUsed / 1_048_576;
  const connections = process.getActiveResourcesInfo().filter((what) => what === 'TCPSocketWrap').length;
  console.log(`memory: PSS ${memoryMb(process.pid).toFixed(0)} MB, live heap ${heapMb.toFixed(1)} MB; ${connections} connections`);
}

async function restart(): Promise<void> {
  await plane.stopApiserver();
  await pause(3_000);
  await plane.startApiserver();
}
const disturbances: readonly (readonly [what: string, disturb: () => Promise<void>])[] = [
  ['nothing', async () => {}],
  ['killed and started', restart],
  ['compacted', plane.compact],
  ['killed, compacted and started', () => plane.compact().then(restart).then(plane.compact)],
];

const endMs = performance.now() + Number(process.argv[2] ?? 5) * 60_000;
for (let round = 0; performance.now() < endMs; round += 1) {
  const [what, disturb] = disturbances[round % disturbances.length] ?? ['', restart];
  const writing = Promise.all([write(), write(), write(), write()]);
  await pause(writingMs / 4);
  await disturb();
  await writing;
  await audit();
  console.log(`${what}: ${JSON.stringify(counts)}`);
  if (round === 0) await rest();
}
await rest();
await plane.close();
process.exit(counts.missed + counts.wrong === 0 ? 0 : 1);
