import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringBound } from '../../core/price/text.ts';
import { countAudio, countFileData, countInline } from './media.ts';
import { notText, startTally, type Tally } from './tally.ts';

function counted(count: (tally: Tally, payload: string) => void, bytes: Buffer): Tally {
  const payload = bytes.toString('base64');
  const tally = startTally(stringBound(payload));
  count(tally, payload);
  return tally;
}

function wav(sampleRate: number, format = 1): Buffer {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(format, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt16LE(2, 32);
  return Buffer.concat([head, Buffer.alloc(8000)]);
}

const mp3 = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x64]), Buffer.alloc(8000)]);

function tagged(content: Buffer, tagBytes: number): Buffer {
  return Buffer.concat([
    Buffer.from('ID3\x04\x00\x00', 'latin1'),
    Buffer.from([0, 0, tagBytes >> 7, tagBytes & 0x7f]),
    Buffer.alloc(tagBytes),
    content,
  ]);
}

test('audio with a minimum rate is bounded by its bytes', () => {
  for (const bytes of [mp3, wav(16_000), wav(8000, 3), tagged(mp3, 300), tagged(mp3, 301), tagged(mp3, 302)]) {
    const tally = counted(countAudio, bytes);
    assert.deepEqual([tally.textTokens, tally.audioInput, tally.wholeContext], [0, true, false]);
    assert.ok(tally.mediaTokens >= bytes.length / 8 && tally.mediaTokens < bytes.length / 7);
  }
});

test('audio whose bytes are no bound is bounded by the context, whatever its MIME type', () => {
  const flac = Buffer.from(`fLaC${'\0'.repeat(100)}`, 'latin1');
  for (const bytes of [
    flac,
    tagged(flac, 300),
    wav(1),
    wav(16_000, 2),
    Buffer.from([0xff, 0xfb, 0x00, 0x64]),
    Buffer.alloc(0),
    Buffer.from('ID3'),
  ]) {
    const tally = counted(countAudio, bytes);
    assert.deepEqual([tally.mediaTokens, tally.audioInput, tally.wholeContext], [0, true, true]);
  }
});

test('a text file counts as its text, other files as the context', () => {
  const ligatures = Buffer.from('\ufdfa'.repeat(100));
  const text = counted((tally, payload) => countInline(tally, 'Text/Markdown', payload), ligatures);
  assert.deepEqual([text.textTokens, text.mediaTokens, text.wholeContext], [0, stringBound(ligatures.toString()), false]);
  const binary = counted((tally, payload) => countInline(tally, 'text/plain', payload), Buffer.from([0xff, 0xfe, 0]));
  assert.equal(binary.wholeContext, true);
  assert.equal(counted((tally, payload) => countInline(tally, 'application/zip', payload), mp3).wholeContext, true);
});

test('file data is judged by the type of its data URL', () => {
  const as = (prefix: string): Tally => counted((tally, payload) => countFileData(tally, prefix + payload), mp3);
  assert.equal(as('data:audio/mpeg;base64,').audioInput, true);
  assert.equal(as('data:image/png;name=x;base64,').images, 1);
  assert.equal(as('data:application/pdf;base64,').wholeContext, true);
  assert.equal(as('').wholeContext, true);
});

test('a payload that no base64 is takes off no more than its own bytes, so that the rest of the body keeps its bound', () => {
  const payload = '\ufdfa'.repeat(1000);
  const tally = startTally(40_000 + Buffer.byteLength(payload));
  notText(tally, payload);
  assert.equal(tally.textTokens, 40_000);
});
