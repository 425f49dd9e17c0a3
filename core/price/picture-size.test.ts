import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pictureSize } from './picture-size.ts';

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const big = (value: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
};
const little = (value: number, length: number): Buffer => big(value, length).reverse();

function png(width: number, height: number): Buffer {
  return Buffer.concat([latin('\x89PNG\r\n\x1a\n'), big(13, 4), latin('IHDR'), big(width, 4), big(height, 4), latin('\x08\x02\0\0\0')]);
}

const segment = (marker: number, data: Buffer): Buffer => Buffer.concat([Buffer.from([0xff, marker]), big(data.length + 2, 2), data]);
const frame = (width: number, height: number, marker = 0xc0): Buffer =>
  segment(marker, Buffer.concat([big(8, 1), big(height, 2), big(width, 2), big(1, 1), latin('\x01\x11\0')]));
const scan = segment(0xda, latin('\x01\x01\0\0\x3f\0'));

function jpeg(...segments: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...segments]);
}

const gifFrame = (left: number, width: number, height: number): Buffer =>
  Buffer.concat([latin(','), little(left, 2), little(0, 2), little(width, 2), little(height, 2), latin('\0\x02\x02L\x01\0')]);

function gif(width: number, height: number, ...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([latin('GIF89a'), little(width, 2), little(height, 2), latin('\x80\0\0'), Buffer.alloc(6), ...blocks]);
}

const chunk = (name: string, data: Buffer): Buffer =>
  Buffer.concat([latin(name), little(data.length, 4), data, Buffer.alloc(data.length % 2)]);
const webp = (...chunks: readonly Buffer[]): Buffer => Buffer.concat([latin('RIFF\0\0\0\0WEBP'), ...chunks]);
const lossy = (width: number, height: number): Buffer =>
  chunk('VP8 ', Buffer.concat([latin('\0\0\0\x9d\x01\x2a'), little(width, 2), little(height, 2)]));
const lossless = (width: number, height: number): Buffer =>
  chunk('VP8L', Buffer.concat([latin('/'), little((height - 1) * 0x4000 + width - 1, 4)]));
const extended = (width: number, height: number): Buffer =>
  chunk('VP8X', Buffer.concat([Buffer.alloc(4), little(width - 1, 3), little(height - 1, 3)]));

const sizeOf = (bytes: Buffer): readonly [number, number] | null => {
  const size = pictureSize(bytes.toString('base64'));
  return size === null ? null : [size.width, size.height];
};

test('the size of a picture stands in its header', () => {
  const exif = segment(0xe1, Buffer.alloc(40_000, 0xff));
  const pictures: readonly (readonly [string, Buffer])[] = [
    ['PNG', png(640, 480)],
    ['JPEG', jpeg(frame(640, 480), scan)],
    [
      'JPEG with EXIF, a profile and tables',
      jpeg(exif, exif, segment(0xdb, Buffer.alloc(65)), frame(640, 480, 0xc2), segment(0xc4, latin('x')), scan),
    ],
    ['GIF', gif(640, 480, latin('!\xf9\x04\0\0\0\0\0'), gifFrame(0, 640, 480), latin(';'))],
    ['lossy WebP', webp(lossy(640, 480))],
    ['lossless WebP', webp(lossless(640, 480))],
    ['extended WebP', webp(extended(640, 480), chunk('ICCP', Buffer.alloc(3001)), lossy(640, 480))],
    ['animated WebP', webp(extended(640, 480), chunk('ANIM', Buffer.alloc(6)))],
  ];
  for (const [name, bytes] of pictures) assert.deepEqual(sizeOf(bytes), [640, 480], name);
});

test('of several sizes the largest counts', () => {
  assert.deepEqual(sizeOf(jpeg(frame(1, 1), frame(4000, 20), frame(20, 3000), scan)), [4000, 3000]);
  assert.deepEqual(sizeOf(gif(10, 10, gifFrame(500, 600, 700), latin(';'))), [1100, 700]);
  assert.deepEqual(sizeOf(webp(extended(10, 10), lossless(1000, 20))), [1000, 20]);
});

test('a picture whose size could be read in two ways has none', () => {
  const odd: readonly (readonly [string, Buffer])[] = [
    ['nothing', Buffer.alloc(0)],
    ['another format', latin('BM\0\0\0\0')],
    ['a PNG of size 0', png(0, 480)],
    ['a PNG cut in its header', png(640, 480).subarray(0, 22)],
    ['a PNG that begins with another chunk', Buffer.concat([png(1, 1).subarray(0, 8), big(4, 4), latin('CgBI'), png(1, 1).subarray(8)])],
    ['a JPEG whose height follows its scan', jpeg(frame(640, 0), scan)],
    ['a JPEG without a scan', jpeg(frame(640, 480))],
    ['a JPEG with bytes between segments', jpeg(latin('x'), frame(640, 480), scan)],
    ['a hierarchical JPEG', jpeg(segment(0xde, frame(9000, 9000).subarray(4)), frame(640, 480), scan)],
    [
      'a JPEG whose headers are too long',
      jpeg(...Array.from({ length: 4 }, () => segment(0xe1, Buffer.alloc(65_000))), frame(640, 480), scan),
    ],
    ['a GIF without an end', gif(640, 480, gifFrame(0, 1, 1))],
    ['a WebP of an unknown kind', webp(chunk('VP9 ', Buffer.alloc(20)))],
    ['a WebP cut in its header', webp(lossless(640, 480)).subarray(0, 23)],
    ['a WebP without its picture', webp(extended(640, 480))],
  ];
  for (const [name, bytes] of odd) assert.equal(sizeOf(bytes), null, name);
});

test('base64 that decoders read differently has no size', () => {
  const plain = png(640, 480).toString('base64');
  for (const text of [
    `${plain.slice(0, 8)}\n${plain.slice(8)}`,
    `=${plain}`,
    `${plain.slice(0, 20)}=${plain.slice(20)}`,
    plain.replaceAll('A', '-'),
  ])
    assert.equal(pictureSize(text), null, text.slice(0, 12));
});

test('hostile headers never give a size below one that they name, and never throw', () => {
  const sides = fc.integer({ min: 1, max: 16_000 });
  const pictures = fc.oneof(
    fc.tuple(sides, sides).map(([w, h]) => png(w, h)),
    fc.array(fc.tuple(sides, sides), { minLength: 1, maxLength: 4 }).map((sizes) => jpeg(...sizes.map(([w, h]) => frame(w, h)), scan)),
    fc
      .array(fc.tuple(sides, sides), { minLength: 1, maxLength: 4 })
      .map((sizes) => gif(1, 1, ...sizes.map(([w, h]) => gifFrame(0, w, h)), latin(';'))),
    fc.tuple(sides, sides).map(([w, h]) => webp(extended(w, h), lossy(w, h))),
  );
  fc.assert(
    fc.property(pictures, fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }), fc.nat(400), (bytes, edits, cut) => {
      const changed = Buffer.from(bytes);
      for (const [at, value] of edits) if (at < changed.length) changed[at] = value;
      const size = pictureSize(changed.subarray(0, changed.length - (cut > 100 ? 0 : cut)).toString('base64'));
      return size === null || (Number.isInteger(size.width) && size.width > 0 && Number.isInteger(size.height) && size.height > 0);
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(sides, sides), { minLength: 1, maxLength: 6 }), (sizes) => {
      const most = [Math.max(...sizes.map(([w]) => w)), Math.max(...sizes.map(([, h]) => h))];
      assert.deepEqual(sizeOf(jpeg(...sizes.map(([w, h]) => frame(w, h)), scan)), most);
      assert.deepEqual(sizeOf(gif(1, 1, ...sizes.map(([w, h]) => gifFrame(0, w, h)), latin(';'))), most);
    }),
  );
});
