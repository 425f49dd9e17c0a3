import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyName, type StreamId, streamId } from '../../../core/names.ts';
import { createFrameEncoder, maxFrameBytes, type PlacedRecord, type RecordMembers, readFrames, type SpoolRecord } from './frame.ts';
import { folder } from './spool.fixture.ts';

const bytesOf = (size: number): fc.Arbitrary<Buffer> => fc.uint8Array({ minLength: size, maxLength: size }).map((all) => Buffer.from(all));
const refused = { code: 'not_found', endpoint: 'other', from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T00:00:00.000Z' } as const;
const texts = fc.string({ unit: 'grapheme', maxLength: 40 });
const records: fc.Arbitrary<SpoolRecord> = fc.oneof(
  texts.map((bootId) => ({ kind: 'header' as const, bootId })),
  fc.record({ requestId: texts, epoch: fc.nat(), nano: fc.nat() }).chain(({ requestId, epoch, nano }) => {
    const call = { stream: streamId(keyName('a', 'b'), 'c'), epoch, requestId };
    return fc.constantFrom<SpoolRecord>(
      { kind: 'open', ...call, reservation: { parts: [{ grant: 'g', nano }], amountNano: nano } },
      { kind: 'open', ...call },
      { kind: 'outcome', ...call, costNano: nano },
      { kind: 'refusals', stream: call.stream, epoch, id: requestId, group: { ...refused, count: nano } },
    );
  }),
  fc
    .record({
      name: texts,
      epoch: fc.maxSafeNat().map((n) => n % 2 ** 48),
      seq: fc.nat(),
      mac: bytesOf(32),
      salt: bytesOf(16),
      text: fc.string({ maxLength: 3000 }),
    })
    .chain((of) => fc.record({ of: fc.constant(of), endsCall: texts, endsEpoch: fc.boolean() }))
    .map(({ of, endsCall, endsEpoch }) => ({
      kind: 'entry' as const,
      entry: {
        stream: of.name as StreamId,
        epoch: of.epoch,
        seq: of.seq,
        previousMac: Buffer.from(of.mac).reverse(),
        mac: of.mac,
        salt: of.salt,
        body: Buffer.from(of.text),
      },
      endsCall,
      endsEpoch,
    })),
);

function readBack(dir: string, bytes: Buffer): PlacedRecord[] {
  const path = join(dir, 'frames');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return [...readFrames(fd, 0, bytes.length)];
  } finally {
    closeSync(fd);
  }
}

const encode = createFrameEncoder();

/** The frame of a record; valid until the next. */
function encoded({ kind, ...members }: SpoolRecord): Buffer {
  return encode(kind, members as RecordMembers[typeof kind]);
}

test('any records come back from their frames', (t) => {
  const dir = folder(t);
  fc.assert(
    fc.property(fc.array(records, { maxLength: 6 }), (written) => {
      const bytes = Buffer.concat(written.map((record) => Buffer.from(encoded(record))));
      const read = readBack(dir, bytes);
      assert.deepEqual(
        read.map(({ record }) => record),
        written,
      );
      assert.equal(read.at(-1)?.end ?? 0, bytes.length);
    }),
    { numRuns: 60 },
  );
});

test('frames are read as they were written before there were outcomes', (t) => {
  const frames =
    'FAAAAG9PQ+0BeyJib290SWQiOiJib290LTEifXoAAAAnQSFeAnsic3RyZWFtIjoiYWdlbnRzL2JvdEBpLTEiLCJlcG9jaCI6MSwicmVxdWVzdElkIjoici0xIiwicmVzZXJ2YXRpb24iOnsicGFydHMiOlt7ImdyYW50IjoiZy0xIiwibmFubyI6NX1dLCJhbW91bnROYW5vIjo1fX0=';
  const reservation = { parts: [{ grant: 'g-1', nano: 5 }], amountNano: 5 };
  assert.deepEqual(
    readBack(folder(t), Buffer.from(frames, 'base64')).map(({ record }) => record),
    [
      { kind: 'header', bootId: 'boot-1' },
      { kind: 'open', stream: streamId(keyName('agents', 'bot'), 'i-1'), epoch: 1, requestId: 'r-1', reservation },
    ],
  );
});

test('frames are found across the chunks in which a large file is read', (t) => {
  const record: SpoolRecord = { kind: 'header', bootId: 'x'.repeat(700_000) };
  const read = readBack(folder(t), Buffer.concat([record, record, record].map((each) => Buffer.from(encoded(each)))));
  assert.equal(read.length, 3);
});

test('a record that is larger than any reader takes is not written', () => {
  assert.throws(() => encoded({ kind: 'header', bootId: 'x'.repeat(maxFrameBytes) }), RangeError);
});
