import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { bind, deriveKey, open, seal } from './aead.ts';

test('lists that would read alike when joined are bound differently', () => {
  const lists = [[], [''], ['ab'], ['a', 'b'], ['b', 'a'], ['', 'ab'], ['ab', ''], ['a', '', 'b']];
  assert.equal(new Set(lists.map((list) => bind(...list).toString('hex'))).size, lists.length);
});

test('what is sealed for one purpose does not open for another', () => {
  const root = randomBytes(32);
  const bound = bind('x');
  const sealed = seal(deriveKey(root, 'one'), Buffer.from('plain'), bound, randomBytes);
  assert.equal(open(deriveKey(root, 'one'), sealed, bound)?.toString(), 'plain');
  assert.equal(open(deriveKey(root, 'two'), sealed, bound), null);
  assert.equal(open(root, sealed, bound), null);
  assert.equal(open(deriveKey(root, 'one'), sealed, bind('y')), null);
});
