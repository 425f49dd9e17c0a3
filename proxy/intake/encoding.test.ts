import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { acceptedEncodings, decodersFor, decodeWhole } from './encoding.ts';

const text = Buffer.from('{"model":"m"}');
const encoded: Readonly<Record<string, Buffer>> = {
  gzip: gzipSync(text),
  'X-GZIP': gzipSync(text),
  deflate: deflateSync(text),
  br: brotliCompressSync(text),
  ' zstd ': zstdCompressSync(text),
  'gzip, identity, zstd': zstdCompressSync(gzipSync(text)),
};

test('every coding is decoded at once as it is in passing, also several in their order', () => {
  assert.equal(acceptedEncodings, 'gzip, deflate, br, zstd');
  for (const [encoding, bytes] of Object.entries(encoded)) {
    assert.deepEqual(decodeWhole(bytes, encoding), text, encoding);
    for (const decoder of decodersFor(encoding) ?? assert.fail(encoding)) decoder.destroy();
  }
});

test('an unknown coding, too many, damaged bytes and a bomb are not decoded', () => {
  for (const encoding of ['compress', 'gzip, exi', 'gzip,gzip,gzip,gzip', 'constructor']) {
    assert.equal(decodersFor(encoding), null, encoding);
    assert.equal(decodeWhole(gzipSync(text), encoding), null, encoding);
  }
  assert.equal(decodeWhole(text, 'gzip'), null);
  for (const [encoding, bytes] of [
    ['gzip', gzipSync(Buffer.alloc(65 * 1024 * 1024))],
    ['zstd', zstdCompressSync(Buffer.alloc(65 * 1024 * 1024))],
  ] as const)
    assert.equal(decodeWhole(bytes, encoding), null, encoding);
});
