import type { Transform } from 'node:stream';
import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzipSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';

const chunkSize = 64 * 1024;
/** 8 MiB, which RFC 8878 recommends: a frame may otherwise demand 128 MiB before its first byte is decoded. */
const zstdParams = { [constants.ZSTD_d_windowLogMax]: 23 };
/** Maximum of what is decoded at once: a small answer may be a decompression bomb. */
const maxOutputLength = 64 * 1024 * 1024;

/** How one content coding is decoded. */
interface Coding {
  /** As it passes. */
  stream(): Transform;
  /** At once. Throws if the bytes are damaged, or decode to too much. */
  whole(bytes: Buffer): Buffer;
}

const codings: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ['gzip', { stream: () => createGunzip({ chunkSize }), whole: (bytes) => gunzipSync(bytes, { maxOutputLength }) }],
  ['deflate', { stream: () => createInflate({ chunkSize }), whole: (bytes) => inflateSync(bytes, { maxOutputLength }) }],
  ['br', { stream: () => createBrotliDecompress({ chunkSize }), whole: (bytes) => brotliDecompressSync(bytes, { maxOutputLength }) }],
  [
    'zstd',
    {
      stream: () => createZstdDecompress({ chunkSize, params: zstdParams }),
      whole: (bytes) => zstdDecompressSync(bytes, { maxOutputLength, params: zstdParams }),
    },
  ],
]);
/** More are refused: each is a decoder in memory, and no client uses two. */
const maxCodings = 3;

/** For `Accept-Encoding` of an answer (RFC 9110 12.5.3). */
export const acceptedEncodings: string = [...codings.keys()].join(', ');

/** The codings of a `Content-Encoding`, the last one applied first (RFC 9110 8.4); null: one is unknown, or there are too many. */
function codingsOf(contentEncoding: string): readonly Coding[] | null {
  const names = contentEncoding.split(',').map((name) => name.trim().toLowerCase());
  const applied = names.filter((name) => name !== '' && name !== 'identity').map((name) => (name === 'x-gzip' ? 'gzip' : name));
  const known = applied.flatMap((name) => codings.get(name) ?? []);
  return applied.length > maxCodings || known.length < applied.length ? null : known.reverse();
}

/** Makes the decoders of a `Content-Encoding`, in the order in which the bytes pass them; null: a coding is unknown. */
export function decodersFor(contentEncoding: string): readonly Transform[] | null {
  return codingsOf(contentEncoding)?.map((coding) => coding.stream()) ?? null;
}

/** Decodes an answer that is encoded although identity was requested; null if it cannot be decoded. */
export function decodeWhole(bytes: Buffer, contentEncoding: string): Buffer | null {
  try {
    return codingsOf(contentEncoding)?.reduce((decoded, coding) => coding.whole(decoded), bytes) ?? null;
  } catch {
    return null;
  }
}
