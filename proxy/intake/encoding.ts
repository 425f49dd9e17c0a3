import type { Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

const chunkSize = 64 * 1024;
/** 8 MiB, which RFC 8878 recommends: a frame may otherwise demand 128 MiB before its first byte is decoded. */
const zstdWindowLog = 23;

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip({ chunkSize }),
  deflate: () => createInflate({ chunkSize }),
  br: () => createBrotliDecompress({ chunkSize }),
  zstd: () => createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } }),
};
const aliases: Readonly<Record<string, string>> = { 'x-gzip': 'gzip' };
/** More are refused: each is a decoder in memory, and no client uses two. */
const maxCodings = 3;

/** For `Accept-Encoding` of an answer (RFC 9110 12.5.3). */
export const acceptedEncodings: string = Object.keys(decoders).join(', ');

/** Makes the decoders of a `Content-Encoding`, in the order in which the bytes pass them (RFC 9110 8.4); null: one is unknown. */
export function decodersFor(contentEncoding: string): readonly Transform[] | null {
  const codings = contentEncoding.split(',').map((coding) => coding.trim().toLowerCase());
  const applied = codings.filter((coding) => coding !== '' && coding !== 'identity').map((coding) => aliases[coding] ?? coding);
  if (applied.length > maxCodings || applied.some((coding) => !Object.hasOwn(decoders, coding))) return null;
  return applied.reverse().flatMap((coding) => decoders[coding]?.() ?? []);
}
