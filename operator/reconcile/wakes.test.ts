import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName, poolName } from '../../core/names.ts';
import { providerPools, virtualKeys } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { poolAnnotation } from '../labels.ts';
import { keyObject, namespaceObject, poolObject, secretObject } from './bench.fixture.ts';
import type { ChangeKind, ChangeKinds, ObjectChange } from './changes.ts';
import { createFakeKube } from './fake-kube.fixture.ts';
import { createStatusWriter } from './status-writer.ts';
import { type View, type Woken, wokenBy } from './wakes.ts';

const bot = keyName('agents', 'bot');
const open = poolName('keyforge-system', 'openai');
const other = poolName('agents', 'other');
const gone = poolName('keyforge-system', 'gone');

const kube = createFakeKube();
const key = kube.put(virtualKeys, keyObject('agents', 'bot', {}));
const pool = kube.put(providerPools, poolObject());
const otherPool = kube.put(providerPools, { ...poolObject({}, 'other', 'agents'), status: { consumers: 1 } });
const vaultOf = (name: string): KubeObject => ({ metadata: { name: `vault-of-${name}`, annotations: { [poolAnnotation]: name } } });

const status = {
  keys: createStatusWriter(kube.client, virtualKeys, ['spent']),
  pools: createStatusWriter(kube.client, providerPools, ['consumers']),
};
const view: View = {
  namespace: 'keyforge-system',
  caches: { keys: { all: () => [key] }, pools: { all: () => [pool, otherPool] }, vaults: { all: () => [vaultOf(gone)] } },
  status,
  policy: { consumers: () => 1 },
};

const put = (object: KubeObject, previous?: KubeObject): ObjectChange => ({ type: 'put', object, previous });
const left = (object: KubeObject): ObjectChange => ({ type: 'gone', object, previous: object });
const edited = (object: KubeObject, metadata: object): KubeObject => ({ ...object, metadata: { ...object.metadata, ...metadata } });

/** The table: a change of each kind, and the controllers that it wakes. */
const table: { readonly [K in ChangeKind]: readonly (readonly [string, ChangeKinds[K], Woken])[] } = {
  virtualKey: [
    ['a new one', put(key), { policy: true, keys: [bot] }],
    ['another spec', put(edited(key, { generation: 2 }), key), { policy: true, keys: [bot] }],
    ['one that is being deleted', put(edited(key, { deletionTimestamp: '2026-01-01T00:00:00Z' }), key), { policy: true, keys: [bot] }],
    ['a status or an annotation', put(edited(key, { annotations: { a: 'b' } }), key), { keys: [bot] }],
    ['one that is gone', left(key), { policy: true, keys: [bot] }],
  ],
  providerPool: [
    ['a new one', put(pool), { policy: true, pools: [open] }],
    ['another spec', put(edited(pool, { generation: 2 }), pool), { policy: true, pools: [open] }],
    ['a status or an annotation', put(edited(pool, { annotations: { a: 'b' } }), pool), { pools: [open] }],
    ['one that is gone', left(pool), { policy: true, pools: [open] }],
  ],
  namespace: [
    ['a new one', put(namespaceObject('agents')), { policy: true }],
    ['other labels', put(namespaceObject('agents', { team: 'ml' }), namespaceObject('agents')), { policy: true }],
    ['nothing of its labels', put(edited(namespaceObject('agents'), { annotations: {} }), namespaceObject('agents')), {}],
    ['one that is gone', left(namespaceObject('agents')), { policy: true }],
  ],
  vault: [
    ['of a pool', put(vaultOf(open)), { policy: true, pools: [open] }],
    ['without a pool', put(secretObject('keyforge-system', 'vault', {})), { policy: true }],
    ['one that is gone', left(vaultOf(open)), { policy: true, pools: [open] }],
  ],
  secret: [
    ['one that a pool names', put(secretObject('keyforge-system', 'openai', {})), { pools: [open] }],
    ['one of that name in another namespace', put(secretObject('agents', 'openai', {})), { pools: [other] }],
    ['one that no pool names', put(secretObject('keyforge-system', 'nothing', {})), {}],
    ["the key ring's", put(secretObject('keyforge-system', 'keyforge-root-key', {})), { keyRing: true }],
    ["one named as the key ring's elsewhere", put(secretObject('agents', 'keyforge-root-key', {})), {}],
    ['one that is gone', left(secretObject('keyforge-system', 'openai', {})), { pools: [open] }],
  ],
  keyRing: [['another ring, or another problem', null, { policy: true, pools: [open, other] }]],
  adoption: [
    [
      'of both kinds',
      [
        { kind: 'VirtualKey', name: bot },
        { kind: 'ProviderPool', name: open },
      ],
      { keys: [bot], pools: [open] },
    ],
    ['of nothing', [], {}],
  ],
  broker: [['whatever changed', null, { tokens: true }]],
  tokens: [['of one key', [bot], { keys: [bot] }]],
  proxies: [['of one key', bot, { keys: [bot] }]],
  spend: [['and pools whose status shows another number of consumers', [bot], { keys: [bot], pools: [open] }]],
  leader: [['everything, and pools of which only a vault is left', null, { keys: [bot], pools: [open, other, gone] }]],
};

function asleepLeftOut({ policy, keyRing, tokens, keys = [], pools = [] }: Woken): Woken {
  return {
    ...(policy === true && { policy }),
    ...(keyRing === true && { keyRing }),
    ...(tokens === true && { tokens }),
    ...(keys.length > 0 && { keys }),
    ...(pools.length > 0 && { pools }),
  };
}

function check<K extends ChangeKind>(kind: K): void {
  for (const [what, change, woken] of table[kind])
    test(`${kind}: ${what}`, () => assert.deepEqual(asleepLeftOut(wokenBy(kind, change, view)), woken));
}
for (const kind of Object.keys(table) as ChangeKind[]) check(kind);

test('virtualKey, providerPool: the status that we wrote ourselves wakes nobody', async () => {
  await status.keys.write(key, { spent: '1.00' });
  await status.pools.write(pool, { consumers: 1 });
  const written = kube.read(virtualKeys, { namespace: 'agents', name: 'bot' }) as KubeObject;
  const writtenPool = kube.read(providerPools, { namespace: 'keyforge-system', name: 'openai' }) as KubeObject;
  assert.deepEqual(asleepLeftOut(wokenBy('virtualKey', put(written, key), view)), {});
  assert.deepEqual(asleepLeftOut(wokenBy('providerPool', put(writtenPool, pool), view)), {});
  assert.deepEqual(asleepLeftOut(wokenBy('virtualKey', left(written), view)), { policy: true, keys: [bot] });
});
