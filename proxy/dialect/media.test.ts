import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringBound } from '../../core/price/text.ts';
import { countAudio, countFileData, countImageUrl, countInline } from './media.ts';
import { startTally, type Tally } from './tally.ts';

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
    const { audio = 0 } = tally.media;
    assert.deepEqual([tally.textTokens, tally.stored.size], [0, 0]);
    assert.ok(audio >= bytes.length / 8 && audio < bytes.length / 7);
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
    assert.deepEqual([tally.media, [...tally.stored]], [{}, ['audio']]);
  }
});

test('a text file counts as its text, other files as the context', () => {
  const ligatures = Buffer.from('\ufdfa'.repeat(100));
  const text = counted((tally, payload) => countInline(tally, 'Text/Markdown', payload), ligatures);
  assert.deepEqual([text.textTokens, text.stored.size], [stringBound(ligatures.toString()), 0]);
  const stored = (type: string, bytes: Buffer): unknown => [
    ...counted((tally, payload) => countInline(tally, type, payload), bytes).stored,
  ];
  assert.deepEqual(stored('text/plain', Buffer.from([0xff, 0xfe, 0])), ['document']);
  assert.deepEqual(stored('text/plain', Buffer.alloc(4 * 1024 * 1024, 'x')), ['document'], 'more than a context');
  assert.deepEqual(stored('application/zip', mp3), ['document']);
  assert.deepEqual(stored('video/mp4', mp3), ['video', 'audio']);
});

// A picture of 3 × 2 pixels, as far as its header.
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAA=', 'base64');

test('a picture counts by its size where its bytes are there', () => {
  const size = { width: 3, height: 2 };
  assert.deepEqual(counted((tally, payload) => countInline(tally, 'image/png', payload), png).pictures, [size]);
  const urls = [`data:image/png;base64,${png.toString('base64')}`, 'data:image/png,%89PNG', 'https://x/y.png'];
  const pictures = urls.map((url) => {
    const tally = startTally(100_000);
    countImageUrl(tally, url);
    return tally.pictures[0];
  });
  assert.deepEqual(pictures, [size, null, null]);
});

test('file data is judged by the type of its data URL', () => {
  const as = (prefix: string): Tally => counted((tally, payload) => countFileData(tally, prefix + payload), mp3);
  assert.ok(as('data:audio/mpeg;base64,').media.audio);
  assert.deepEqual(as('data:image/png;name=x;base64,').pictures, [null]);
  assert.deepEqual([...as('data:application/pdf;base64,').stored], ['document']);
  assert.deepEqual([...as('').stored], ['document', 'image', 'audio', 'video']);
});
