import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { parseJson } from '../../core/json.ts';

const decoders: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
/** A small answer may unpack into a bomb. */
const maxDecodedBytes = 64 * 1024 * 1024;
/** An error body longer than this is not worth keeping. */
const maxKeptBytes = 64 * 1024;

/** Decodes an answer that came encoded although identity was requested; null where that cannot be done. */
export function decodeWhole(bytes: Buffer, encoding: string): Buffer | null {
  try {
    return decoders[encoding.trim().toLowerCase()]?.(bytes, { maxOutputLength: maxDecodedBytes }) ?? null;
  } catch {
    return null;
  }
}

/** The text of bytes that are a JSON object or list of reasonable size; else undefined. */
export function jsonText(bytes: Buffer): string | undefined {
  if (bytes.length > maxKeptBytes) return undefined;
  const text = bytes.toString();
  const value = parseJson(text);
  return typeof value === 'object' && value !== null ? text : undefined;
}

/** Bytes in which the provider repeats our credential (ASCII), without it; all others stay. The same buffer where it does not. */
export function withoutSecret(bytes: Buffer, secret: string): Buffer {
  return bytes.includes(secret) ? Buffer.from(bytes.toString('latin1').replaceAll(secret, '[redacted]'), 'latin1') : bytes;
}
