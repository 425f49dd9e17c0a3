import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { keyName, streamId } from '../../core/names.ts';
import { openRow, sealRow } from './seal.ts';

const key = keyName('agents', 'bot');
const rootKey = Buffer.alloc(32, 1);
const chainKey = Buffer.alloc(32, 9);
const head = {
  stream: streamId(key, 'i-1'),
  key,
  instance: 'i-1',
  epoch: 2,
  nonce: '00ff',
  state: 'open',
  lastSeq: 5,
  lastMac: 'ab'.repeat(32),
} as const;

test('a row opens while its head is as it was sealed', () => {
  const row = sealRow(head, chainKey, { rootKey, random: randomBytes });
  assert.deepEqual(openRow({ ...row, state: 'closed' }, rootKey), chainKey);
  assert.equal(openRow({ ...row, lastSeq: 4 }, rootKey), null);
  assert.equal(openRow({ ...row, epoch: 1 }, rootKey), null);
  assert.equal(openRow({ ...row, sealedKey: '' }, rootKey), null);
  assert.equal(openRow(row, randomBytes(32)), null);
});

test('a row that an earlier release sealed still opens', () => {
  const sealedKey =
    '07070707070707070707070736751e76ae1ab3c1059d14c1eaf21f0caaeec68997bbb0f9addef5887a602c01fa4d377358ad86ad53a98b60ca73ba43';
  assert.deepEqual(openRow({ ...head, sealedKey }, rootKey), chainKey);
});
