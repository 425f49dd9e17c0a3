import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { namespaces, providerPools, secrets } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import {
  condition,
  credentials,
  messageOf,
  namespaceObject,
  type OperatorBench,
  poolObject,
  secretObject,
  startOperator,
  until,
} from '../reconcile/bench.fixture.ts';
import { createFakeKube, type FakeKube } from '../reconcile/fake-kube.fixture.ts';

const platform = { namespace: 'keyforge-system', name: 'openai' };
const rootKeyAt = { namespace: 'keyforge-system', name: 'keyforge-root-key' };

let kube: FakeKube;
let operators: OperatorBench[];

beforeEach(() => {
  kube = createFakeKube();
  operators = [];
  kube.put(namespaces, namespaceObject('keyforge-system'));
  kube.put(secrets, secretObject('keyforge-system', 'openai', { a: 'sk-real-1' }));
  kube.put(providerPools, poolObject());
});

afterEach(async () => {
  for (const operator of operators) {
    await operator.close();
    operator.bench.close();
  }
});

function start(options: Parameters<typeof startOperator>[1] = {}): OperatorBench {
  const operator = startOperator(kube.client, options);
  operators.push(operator);
  return operator;
}

const pool = () => kube.read(providerPools, platform);
const rootKeyData = () => kube.read(secrets, rootKeyAt)?.['data'];

async function vaults(): Promise<readonly KubeObject[]> {
  return (await kube.client.list(secrets, { namespace: 'keyforge-system', labelSelector: 'keyforge.dev/vault' })).items;
}

test('a new root key seals again, and the previous one may be removed', async () => {
  const operator = start();
  await until('sealed', async () => (await vaults()).length === 1);
  const at = { namespace: 'keyforge-system', name: 'keyforge-root-key' };
  const { current } = (kube.read(secrets, at) as KubeObject)['data'] as { readonly current: string };
  const before = JSON.stringify((await vaults())[0]?.['data']);
  const next = Buffer.alloc(32, 9).toString('base64');
  kube.put(secrets, { ...(kube.read(secrets, at) as KubeObject), data: { current: next, previous: current } });
  await until('sealed again', async () => JSON.stringify((await vaults())[0]?.['data']) !== before);
  await pause(100);
  kube.put(secrets, { ...(kube.read(secrets, at) as KubeObject), data: { current: next } });
  await pause(200);
  assert.deepEqual(credentials(operator), ['a=sk-real-1']);
  await until('the pool', () => condition(pool(), 'Ready') === 'True Served');
});

test('a root key that is deleted while an operator leads is written again, the same', async () => {
  const operator = start();
  await until('sealed', () => condition(pool(), 'Ready') === 'True Served');
  const before = rootKeyData();
  kube.drop(secrets, rootKeyAt);
  await until('written again', () => rootKeyData() !== undefined);
  assert.deepEqual(rootKeyData(), before);
  assert.deepEqual(credentials(operator), ['a=sk-real-1']);
});

test('a replica that does not lead leaves a deleted root key to the one that does', async () => {
  let leads = true;
  const { lead, unlead } = start({ leads: () => leads });
  await until('sealed', () => condition(pool(), 'Ready') === 'True Served');
  const before = rootKeyData();
  await unlead();
  leads = false;
  kube.drop(secrets, rootKeyAt);
  await pause(100);
  assert.equal(rootKeyData(), undefined);
  leads = true;
  lead();
  await until('written again', () => rootKeyData() !== undefined);
  assert.deepEqual(rootKeyData(), before);
});

test('a root key that cannot be read is reported at once; repaired or deleted, it is as before', async () => {
  const operator = start();
  await until('sealed', () => condition(pool(), 'Ready') === 'True Served');
  const whole = kube.read(secrets, rootKeyAt) as KubeObject;
  kube.put(secrets, { ...whole, data: { current: 'bm8=' } });
  await until('reported', () => condition(pool(), 'Ready') === 'False RootKeyUnreadable');
  assert.deepEqual(credentials(operator), ['a=sk-real-1']);
  kube.put(secrets, whole);
  await until('repaired', () => condition(pool(), 'Ready') === 'True Served');
  kube.put(secrets, { ...whole, data: { current: 'bm8=' } });
  await until('reported again', () => condition(pool(), 'Ready') === 'False RootKeyUnreadable');
  kube.drop(secrets, rootKeyAt);
  await until('written again', () => condition(pool(), 'Ready') === 'True Served');
  assert.deepEqual(rootKeyData(), whole['data']);
});

test('a root key that could never be read is created again once its Secret is deleted, as its condition says', async () => {
  kube.put(secrets, secretObject('keyforge-system', 'keyforge-root-key', { current: 'short' }));
  const operator = start();
  await until('reported', () => condition(pool(), 'Ready') === 'False RootKeyUnreadable');
  kube.drop(secrets, rootKeyAt);
  await until('served', () => condition(pool(), 'Ready') === 'True Served');
  assert.deepEqual(credentials(operator), ['a=sk-real-1']);
});

test('a root key that is lost while no operator runs is reported at each pool whose vault it sealed; a pool whose sources exist is sealed again', async () => {
  const first = start();
  await until('sealed', () => condition(pool(), 'Ready') === 'True Served');
  kube.put(secrets, secretObject('keyforge-system', 'lonely', { a: 'sk-lonely' }));
  kube.put(providerPools, poolObject({ keys: [{ name: 'a', secretRef: { name: 'lonely', key: 'a' } }] }, 'lonely'));
  const lonely = () => kube.read(providerPools, { namespace: 'keyforge-system', name: 'lonely' });
  await until('the other', () => condition(lonely(), 'Ready') === 'True Served');
  const whole = kube.read(secrets, rootKeyAt) as KubeObject;
  await first.close();
  kube.drop(secrets, rootKeyAt);
  kube.drop(secrets, { namespace: 'keyforge-system', name: 'lonely' });
  const second = startOperator(kube.client, { bench: first.bench });
  await until('reported', () => condition(lonely(), 'Ready') === 'False RootKeyUnknown');
  assert.match(messageOf(lonely()), /put that key back as "previous".*Secret lonely does not exist/);
  await until('sealed again', () => credentials(second)?.includes('a=sk-real-1'));
  await until('the first', () => condition(pool(), 'Ready') === 'True Served');
  const { current } = rootKeyData() as { readonly current: string };
  kube.put(secrets, { ...whole, data: { current, previous: (whole['data'] as { readonly current: string }).current } });
  await until('put back', () => credentials(second)?.includes('a=sk-lonely'));
  await second.close();
});
