import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from '../audit/types.ts';
import { keyName, type StreamId, streamId } from '../names.ts';
import { decodeEntries, encodeEntries } from './entry-wire.ts';

const entry: Entry = {
  stream: streamId(keyName('agents', 'bot'), 'i-1'),
  epoch: 2,
  seq: 5,
  previousMac: Buffer.alloc(32, 1),
  mac: Buffer.alloc(32, 2),
  salt: Buffer.alloc(16, 3),
  body: Buffer.from('{"labels":{"naïve":"😀"}}'),
};
const far: Entry = { ...entry, stream: 'agents/bät@i-1' as StreamId, epoch: 2 ** 48 - 1, seq: 2 ** 48 - 1, body: Buffer.alloc(0) };

test('entries come back from the wire byte for byte', () => {
  assert.deepEqual(decodeEntries(encodeEntries([entry, far, entry])), [entry, far, entry]);
  assert.deepEqual(decodeEntries(encodeEntries([])), []);
});

test('bytes that end within an entry are not read', () => {
  const whole = encodeEntries([entry, far]);
  const first = encodeEntries([entry]).length;
  for (let length = 1; length < whole.length; length += 1) {
    assert.equal(decodeEntries(whole.subarray(0, length)) !== null, length === first, `cut at ${length}`);
  }
});
