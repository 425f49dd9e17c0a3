import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type PoolName, poolName } from '../../core/names.ts';
import type { RootRing } from './ring.ts';
import { isUpToDate, openPool, sealPool, vaultSecretName } from './vault.ts';

const pool = poolName('keyforge-system', 'openai');
const other = poolName('keyforge-system', 'anthropic');
const canary = 'sk-canary-7f3a9b2c';
const credentials = [
  { name: 'proj-b', value: `${canary}-b` },
  { name: 'proj-a', value: `${canary}-a` },
];
const ring: RootRing = { current: randomBytes(32) };
const data = sealPool(pool, credentials, ring, randomBytes);

function refusal(where: PoolName, items: unknown, keys: RootRing = ring): string {
  const opened = openPool(where, items, keys);
  assert.ok(opened.kind === 'problem');
  assert.ok(opened.message.includes(`ProviderPool ${where}`), opened.message);
  assert.ok(!JSON.stringify(opened).includes(canary));
  return opened.reason;
}

/** The items, one of them replaced; undefined: left out. */
function withItem(name: string, value: string | undefined): Record<string, string> {
  const { [name]: _, ...rest } = data;
  return value === undefined ? rest : { ...rest, [name]: value };
}

function item(name: string, items: Readonly<Record<string, string>> = data): string {
  return items[name] ?? assert.fail(`no item ${name}`);
}

test('what is sealed opens to the same credentials, in the order of their names', () => {
  const opened = openPool(pool, data, ring);
  assert.deepEqual(opened, { kind: 'opened', credentials: credentials.toReversed(), sealedUnder: 'current' });
});

test('an empty pool, an empty value and a long one are sealed and opened', () => {
  for (const set of [[], [{ name: 'a', value: '' }], [{ name: 'x'.repeat(253), value: 'é'.repeat(100_000) }]]) {
    const opened = openPool(pool, sealPool(pool, set, ring, randomBytes), ring);
    assert.deepEqual(opened, { kind: 'opened', credentials: set, sealedUnder: 'current' });
  }
});

test('no value shows in the Secret, and each sealing looks different', () => {
  for (const value of Object.values(data)) assert.ok(!Buffer.from(value, 'base64').includes(canary));
  const again = sealPool(pool, credentials, ring, randomBytes);
  for (const name of Object.keys(data)) assert.notEqual(again[name], data[name]);
});

test('what an earlier release sealed still opens', () => {
  const sealed = {
    '_data-key': 'FRk9IDd7clwHBwcHBwcHBwcHBweOphrrjPBw8OgG+ExeyOJvuHzLnfsKOE10U9Zre+KOQWQoy/2RCXEgAcJC72SC2z8=',
    a: 'BwcHBwcHBwcHBwcHvfBnS2OVy/TOBrFKZVW4tU9kEal+tCE=',
  };
  const opened = openPool(poolName('ns', 'pool'), sealed, { current: Buffer.alloc(32, 1) });
  assert.deepEqual(opened, { kind: 'opened', credentials: [{ name: 'a', value: 'sk-test' }], sealedUnder: 'current' });
});

test('a Secret of another pool is refused', () => {
  assert.equal(refusal(other, data), 'VaultUnreadable');
});

test('credentials swapped with each other, or taken from another sealing of the same pool, are refused', () => {
  assert.equal(refusal(pool, { ...data, 'proj-a': item('proj-b'), 'proj-b': item('proj-a') }), 'VaultUnreadable');
  const older = sealPool(pool, credentials, ring, randomBytes);
  assert.equal(refusal(pool, withItem('proj-a', item('proj-a', older))), 'VaultUnreadable');
});

test('a credential left out, added or renamed is refused', () => {
  assert.equal(refusal(pool, withItem('proj-a', undefined)), 'VaultUnreadable');
  assert.equal(refusal(pool, withItem('proj-c', item('proj-a'))), 'VaultUnreadable');
  assert.equal(refusal(pool, { ...withItem('proj-a', undefined), 'proj-c': item('proj-a') }), 'VaultUnreadable');
});

test('any byte changed or cut off is refused', () => {
  for (const name of Object.keys(data)) {
    const bytes = Buffer.from(item(name), 'base64');
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(at) ^ 0x80, at);
      refusal(pool, withItem(name, altered.toString('base64')));
      refusal(pool, withItem(name, bytes.subarray(0, at).toString('base64')));
    }
  }
});

test('what is no Secret data at all is refused', () => {
  for (const items of [undefined, null, 'text', {}, { '_data-key': 5 }, { '_data-key': `${canary}!` }, withItem('_data-key', undefined)]) {
    assert.equal(refusal(pool, items), 'VaultUnreadable');
  }
});

test('after a rotation of the root key the old sealing opens under "previous" and must be sealed again', () => {
  const rotated: RootRing = { current: randomBytes(32), previous: ring.current };
  const opened = openPool(pool, data, rotated);
  assert.equal(opened.kind === 'opened' && opened.sealedUnder, 'previous');
  assert.equal(isUpToDate(pool, data, credentials, rotated), false);
  const resealed = sealPool(pool, credentials, rotated, randomBytes);
  assert.equal(isUpToDate(pool, resealed, credentials, rotated), true);
  assert.equal(openPool(pool, resealed, { current: rotated.current }).kind, 'opened');
});

test('a sealing under a root key that is gone names the key as the reason', () => {
  assert.equal(refusal(pool, data, { current: randomBytes(32), previous: randomBytes(32) }), 'RootKeyUnknown');
});

test('a Secret is up to date exactly while it holds these credentials', () => {
  assert.equal(isUpToDate(pool, data, credentials, ring), true);
  assert.equal(isUpToDate(pool, data, credentials.toReversed(), ring), true);
  assert.equal(isUpToDate(pool, data, credentials.slice(1), ring), false);
  assert.equal(isUpToDate(pool, data, [...credentials, { name: 'proj-c', value: 'x' }], ring), false);
  assert.equal(
    isUpToDate(
      pool,
      data,
      credentials.map(({ name, value }) => ({ name, value: `${value}x` })),
      ring,
    ),
    false,
  );
  assert.equal(isUpToDate(pool, undefined, credentials, ring), false);
});

test('names of vault Secrets are DNS-1123, stable and never shared', () => {
  const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  const long = 'x'.repeat(62);
  const pools = [
    'a-b/c',
    'a/b-c',
    'a/b.c',
    `${long}/${long}.${long}.${long}.${long}`,
    `${long}/${long}.${long}.${long}.${long}y`,
    `${'n'.repeat(63)}/${'y.'.repeat(126)}y`,
  ];
  const names = pools.map((name) => vaultSecretName(name as PoolName));
  for (const name of names) assert.match(name, subdomain);
  assert.equal(new Set(names).size, pools.length);
  assert.equal(vaultSecretName(pool), 'keyforge-vault-keyforge-system-openai-4cc4a3e22515f7f070fa');
});
