import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { newRootKey, readRootRing, rootKeyId } from './ring.ts';

function key(size: number): string {
  return randomBytes(size).toString('base64');
}

test('a new root key reads back as a ring of one', () => {
  const data = newRootKey(randomBytes);
  const read = readRootRing(data);
  assert.ok(read.kind === 'ring');
  assert.equal(read.ring.current.toString('base64'), data.current);
  assert.equal('previous' in read.ring, false);
});

test('during a rotation the ring holds both keys', () => {
  const data = { current: key(32), previous: key(32) };
  const read = readRootRing(data);
  assert.ok(read.kind === 'ring');
  assert.equal(read.ring.previous?.toString('base64'), data.previous);
});

test('a ring with a key of another size, no current key or no base64 is refused without repeating it', () => {
  const canary = 'not base64 of a canary';
  for (const data of [
    undefined,
    null,
    {},
    { previous: key(32) },
    { current: key(31) },
    { current: '' },
    { current: key(32), previous: key(33) },
    { current: canary },
    { current: 7 },
  ]) {
    const read = readRootRing(data);
    assert.ok(read.kind === 'problem');
    assert.equal(read.reason, 'RootKeyUnreadable');
    assert.match(read.message, /Secret keyforge-root-key .*restore the Secret/);
    assert.ok(!read.message.includes(canary));
  }
});

test('ids of different root keys differ', () => {
  const one = randomBytes(32);
  assert.deepEqual(rootKeyId(one), rootKeyId(Buffer.from(one)));
  assert.notDeepEqual(rootKeyId(one), rootKeyId(randomBytes(32)));
});
