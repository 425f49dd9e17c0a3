import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { parseJson } from '../../core/json.ts';

const decoders: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
/** Maximum of a decoded answer: a small one may be a decompression bomb. */
const maxDecodedBytes = 64 * 1024 * 1024;
/** Maximum of a kept error body. */
const maxKeptBytes = 64 * 1024;

/** Decodes an answer that is encoded although identity was requested; null if it cannot be decoded. */
export function decodeWhole(bytes: Buffer, encoding: string): Buffer | null {
  try {
    return decoders[encoding.trim().toLowerCase()]?.(bytes, { maxOutputLength: maxDecodedBytes }) ?? null;
  } catch {
    return null;
  }
}

/** The text of bytes that are a JSON object or list of reasonable size; otherwise undefined. */
export function jsonText(bytes: Buffer): string | undefined {
  if (bytes.length > maxKeptBytes) return undefined;
  const text = bytes.toString();
  const value = parseJson(text);
  return typeof value === 'object' && value !== null ? text : undefined;
}
