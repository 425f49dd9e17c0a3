import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

const decoders: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
/** A small answer may unpack into a bomb. */
const decodedBytes = 64 * 1024 * 1024;
/** An error body longer than this is not worth keeping. */
const keptBytes = 64 * 1024;

/** Decodes an answer that came encoded although identity was asked for; null where that cannot be done. */
export function decodeWhole(bytes: Buffer, encoding: string): Buffer | null {
  try {
    return decoders[encoding.trim().toLowerCase()]?.(bytes, { maxOutputLength: decodedBytes }) ?? null;
  } catch {
    return null;
  }
}

/** `{body}` where the bytes are a JSON object or list of reasonable size, else nothing. */
export function jsonText(bytes: Buffer): { readonly body?: string } {
  if (bytes.length > keptBytes) return {};
  const body = bytes.toString();
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { body } : {};
  } catch {
    return {};
  }
}

/** Bytes in which the provider repeats our credential (ASCII), without it; all others stay. The same buffer where it does not. */
export function withoutSecret(bytes: Buffer, secret: string): Buffer {
  return bytes.includes(secret) ? Buffer.from(bytes.toString('latin1').replaceAll(secret, '[redacted]'), 'latin1') : bytes;
}
