import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { keyName } from '../../core/names.ts';
import { connectKube } from '../../operator/kube/client.ts';
import { createElector } from '../../operator/kube/elector.ts';
import { providerPools, secrets, virtualKeys } from '../../operator/kube/resources.ts';
import type { KubeClient, KubeObject, Resource } from '../../operator/kube/types.ts';
import {
  condition,
  itemOf,
  keyObject,
  type OperatorBench,
  poolObject,
  secretObject,
  startOperator,
  until,
} from '../../operator/reconcile/bench.fixture.ts';
import { canRunControlPlane } from './build.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const can = canRunControlPlane();
const options = { skip: can.ok ? false : can.why };
const logger = pino({ level: 'silent' });
const system = 'keyforge-system';
const day = [{ window: 'Day', usd: '5.00' }];
const withinMs = 60_000;
/** The garbage collector looks for new kinds each 30 s, and knows of owners only then. */
const collectedMs = 150_000;

let cp: ControlPlane;
let client: KubeClient;
let operator: OperatorBench;
let writes: string[] = [];

before(async () => {
  if (!can.ok) return;
  cp = await startControlPlane();
  client = connectKube({ kubeconfig: cp.adminKubeconfigPath, logger });
  for (const name of ['virtualkeys', 'providerpools']) {
    await cp.apply(await readFile(new URL(`../../crds/${name}.yaml`, import.meta.url), 'utf8'));
  }
  await until(
    'the resources',
    () =>
      client
        .list(virtualKeys, {})
        .then(() => client.list(providerPools, {}))
        .then(Boolean, () => false),
    withinMs,
  );
  await cp.createNamespace(system);
  await cp.apply(secretObject(system, 'openai', { a: 'sk-real-1' }));
  await cp.apply(poolObject());
  operator = startOperator(counted(client, (write) => void writes.push(write)));
});

after(async () => {
  await operator?.close();
  operator?.bench.close();
  await client?.close();
  await cp?.close();
});

/** A client that tells of each write; events are not among them. */
function counted(whole: KubeClient, tell: (write: string) => void): KubeClient {
  const told = (verb: string, resource: Resource, { namespace, name }: { readonly namespace?: string; readonly name: string }): void => {
    if (resource.plural !== 'events') tell(`${verb} ${resource.plural} ${namespace}/${name}`);
  };
  return {
    ...whole,
    create(resource, object) {
      told('create', resource, object.metadata);
      return whole.create(resource, object);
    },
    apply(resource, object, subresource) {
      told(subresource ?? 'apply', resource, object.metadata);
      return whole.apply(resource, object, subresource);
    },
    patch(resource, at, operations) {
      told('patch', resource, at);
      return whole.patch(resource, at, operations);
    },
    remove(resource, at, precondition) {
      told('remove', resource, at);
      return whole.remove(resource, at, precondition);
    },
  };
}

const key = (namespace: string, name: string) => client.get(virtualKeys, { namespace, name });
const secret = (namespace: string, name: string) => client.get(secrets, { namespace, name });
const pools = [{ name: 'openai', namespace: system }];

function ready(namespace: string, name: string, wanted: string): Promise<unknown> {
  return until(`${namespace}/${name} ${wanted}`, async () => condition(await key(namespace, name), 'Ready') === wanted, withinMs);
}

function served(of: OperatorBench, pool: string): readonly string[] {
  const all = of.bench.broker.live()?.policy.credentials ?? [];
  return all.filter((credential) => credential.pool === `${system}/${pool}`).map(({ name, value }) => `${name}=${value}`);
}

test('a VirtualKey that is applied gets its Secret and its status', options, async () => {
  await cp.createNamespace('c-first');
  await cp.apply(keyObject('c-first', 'bot', { pools, limits: day }));
  await ready('c-first', 'bot', 'True Served');
  const made = await secret('c-first', 'bot');
  assert.equal(itemOf(made, 'api-key'), operator.bench.broker.token(keyName('c-first', 'bot')));
  assert.equal(made?.metadata.labels?.['app.kubernetes.io/managed-by'], 'keyforge');
  const { spent, remaining, window } = ((await key('c-first', 'bot'))?.['status'] ?? {}) as Readonly<Record<string, unknown>>;
  assert.deepEqual({ spent, remaining, window }, { spent: '0.00', remaining: '5.00', window: 'Day' });
});

test('200 keys converge, and then nothing is written', options, async (t) => {
  await cp.createNamespace('c-many');
  const names = Array.from({ length: 200 }, (_, index) => `bot-${index}`);
  const startMs = performance.now();
  await Promise.all(names.map((name) => client.create(virtualKeys, keyObject('c-many', name, { pools, limits: day }))));
  await until(
    'all ready',
    async () => {
      const { items } = await client.list(virtualKeys, { namespace: 'c-many' });
      return items.every((item) => condition(item, 'Ready') === 'True Served');
    },
    120_000,
  );
  t.diagnostic(`200 keys in ${Math.round(performance.now() - startMs)} ms, ${writes.length} writes since the start`);
  await until(
    'two seconds without a write',
    async () => {
      writes = [];
      await pause(2_000);
      return writes.length === 0;
    },
    withinMs,
  );
});

test('a key that was deleted while no operator runs takes its Secret along', options, async () => {
  await cp.createNamespace('c-down');
  await cp.apply(keyObject('c-down', 'bot', { pools, limits: day }));
  await ready('c-down', 'bot', 'True Served');
  await operator.close();
  await client.remove(virtualKeys, { namespace: 'c-down', name: 'bot' });
  await until('collected', async () => (await secret('c-down', 'bot')) === null, collectedMs);
  operator = startOperator(
    counted(client, (write) => void writes.push(write)),
    { bench: operator.bench },
  );
  await operator.controllers.adopted;
  assert.equal(operator.bench.broker.token(keyName('c-down', 'bot')), null);
});

test('a Secret that is not ours is left as it is, and taken over by nobody', options, async () => {
  await cp.createNamespace('c-conflict');
  await cp.apply(secretObject('c-conflict', 'bot', { mine: 'x' }));
  await cp.apply(keyObject('c-conflict', 'bot', { pools, limits: day }));
  await ready('c-conflict', 'bot', 'False SecretConflict');
  assert.equal(itemOf(await secret('c-conflict', 'bot'), 'mine'), 'x');
  assert.equal(itemOf(await secret('c-conflict', 'bot'), 'api-key'), undefined);
});

test('another secretName moves the token, and the garbage collector takes what is left', options, async () => {
  await cp.createNamespace('c-moved');
  await cp.apply(keyObject('c-moved', 'bot', { pools, limits: day }));
  await ready('c-moved', 'bot', 'True Served');
  const token = itemOf(await secret('c-moved', 'bot'), 'api-key');
  await cp.apply(keyObject('c-moved', 'bot', { pools, limits: day, secretName: 'moved' }));
  await until('the new one', async () => itemOf(await secret('c-moved', 'moved'), 'api-key') === token, withinMs);
  await until('the old one gone', async () => (await secret('c-moved', 'bot')) === null, collectedMs);
  await cp.apply(keyObject('c-moved', 'bot', { pools, limits: day, issueToken: false }));
  await ready('c-moved', 'bot', 'True BudgetOnly');
  await until('the new one gone', async () => (await secret('c-moved', 'moved')) === null, collectedMs);
});

test('a key without a parent stands beside good ones, until its parent comes', options, async () => {
  await cp.createNamespace('c-broken');
  await cp.apply(keyObject('c-broken', 'orphan', { parentRef: { name: 'team' } }));
  await cp.apply(keyObject('c-broken', 'good', { pools, limits: day }));
  await ready('c-broken', 'orphan', 'False ParentNotFound');
  await ready('c-broken', 'good', 'True Served');
  await cp.apply(keyObject('c-broken', 'team', { pools, limits: day, issueToken: false }));
  await ready('c-broken', 'orphan', 'True Served');
});

test('a credential that changes is served within seconds, and one that breaks leaves the last good one', options, async () => {
  await cp.apply(secretObject(system, 'rotating', { a: 'sk-real-1' }));
  await cp.apply(poolObject({ keys: [{ name: 'a', secretRef: { name: 'rotating', key: 'a' } }] }, 'rotating'));
  await until('the first', () => served(operator, 'rotating')[0] === 'a=sk-real-1', withinMs);
  await cp.apply(secretObject(system, 'rotating', { a: 'sk-real-2' }));
  await until('the second', () => served(operator, 'rotating')[0] === 'a=sk-real-2', 15_000);
  await client.remove(secrets, { namespace: system, name: 'rotating' });
  const told = async () => condition(await client.get(providerPools, { namespace: system, name: 'rotating' }), 'Ready');
  await until('told', async () => (await told()) === 'False CredentialStale', withinMs);
  assert.deepEqual(served(operator, 'rotating'), ['a=sk-real-2']);
  const pool = await client.get(providerPools, { namespace: system, name: 'rotating' });
  assert.doesNotMatch(JSON.stringify(pool), /sk-real/);
});

test('consent that is withdrawn takes the pool from the key', options, async () => {
  await cp.createNamespace('c-consent');
  await cp.apply(poolObject({}, 'consenting'));
  await cp.apply(keyObject('c-consent', 'bot', { pools: [{ name: 'consenting', namespace: system }], limits: day }));
  await ready('c-consent', 'bot', 'True Served');
  await cp.apply(poolObject({ consumers: [] }, 'consenting'));
  await ready('c-consent', 'bot', 'False ConsentMissing');
  assert.deepEqual(operator.bench.broker.live()?.documents.get(keyName('c-consent', 'bot'))?.pools, []);
});

test('a new root key seals every vault Secret anew; a pool that is deleted leaves none', options, async () => {
  const vaults = async () => (await client.list(secrets, { namespace: system, labelSelector: 'keyforge.dev/vault' })).items;
  const before = new Map((await vaults()).map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
  assert.ok(before.size >= 2);
  const at = { namespace: system, name: 'keyforge-root-key' };
  const { current } = ((await client.get(secrets, at)) as KubeObject)['data'] as { readonly current: string };
  await client.patch(secrets, at, [
    { op: 'add', path: '/data', value: { current: randomBytes(32).toString('base64'), previous: current } },
  ]);
  const sealedAnew = async () => (await vaults()).every(({ metadata }) => before.get(metadata.name) !== metadata.resourceVersion);
  await until('sealed anew', sealedAnew, withinMs);
  await pause(500);
  await client.patch(secrets, at, [{ op: 'remove', path: '/data/previous' }]);
  await pause(500);
  assert.deepEqual(served(operator, 'openai'), ['a=sk-real-1']);
  await client.remove(providerPools, { namespace: system, name: 'consenting' });
  await until('one less', async () => (await vaults()).length === before.size - 1, withinMs);
});

test('of three operators one writes; when it ends another does', options, async () => {
  await operator.close();
  await cp.createNamespace('c-three');
  const replicas = ['one', 'two', 'three'].map(startReplica);
  await Promise.all(replicas.map(({ bench }) => bench.controllers.adopted));
  await cp.apply(keyObject('c-three', 'bot', { pools, limits: day }));
  await ready('c-three', 'bot', 'True Served');
  const writers = replicas.filter(({ made }) => made.length > 0);
  assert.equal(writers.length, 1);
  await writers[0]?.elector.close();
  await writers[0]?.bench.unlead();
  for (const { made } of replicas) made.length = 0;
  await cp.apply(keyObject('c-three', 'next', { pools, limits: day }));
  await ready('c-three', 'next', 'True Served');
  assert.deepEqual(writers[0]?.made, []);
  for (const { elector, bench } of replicas) {
    await elector.close();
    await bench.close();
    bench.bench.close();
  }
});

function startReplica(identity: string) {
  const made: string[] = [];
  const elector = createElector({
    ...{ client, namespace: system, name: 'controllers-test', identity, clock: Date.now, logger },
    onStarted: () => bench.lead(),
    onStopped: () => void bench.unlead(),
  });
  const bench = startOperator(
    counted(client, (write) => void made.push(write)),
    { leads: () => elector.leads() },
  );
  elector.start();
  return { bench, elector, made };
}
