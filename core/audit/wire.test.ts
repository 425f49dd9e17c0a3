import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry, StreamId } from './types.ts';
import { fromWire, toWire } from './wire.ts';

const entry: Entry = {
  stream: 'agents/bot@i-1' as StreamId,
  epoch: 2,
  seq: 5,
  previousMac: Buffer.alloc(32, 1),
  mac: Buffer.alloc(32, 2),
  salt: Buffer.alloc(16, 3),
  body: Buffer.from('{"labels":{"naïve":"😀"}}'),
};

test('an entry comes back from the wire byte for byte', () => {
  assert.deepEqual(fromWire(JSON.parse(JSON.stringify(toWire(entry)))), entry);
});

test('what is not an entry is not read as one', () => {
  const wire = toWire(entry);
  const broken: readonly Record<string, unknown>[] = [
    { mac: wire.mac.slice(2) },
    { mac: `${wire.mac.slice(0, 62)}zz` },
    { previousMac: 7 },
    { salt: '' },
    { seq: -1 },
    { seq: 0.5 },
    { epoch: 0 },
    { epoch: '1' },
    { stream: null },
    { body: {} },
  ];
  for (const change of broken) assert.equal(fromWire({ ...wire, ...change } as typeof wire), null, JSON.stringify(change));
});
