import { macBytes, saltBytes } from '../audit/entry.ts';
import type { Entry } from '../audit/types.ts';
import { storedStream } from '../names.ts';

/** Before each entry: epoch and seq (48 bits each), two MACs, salt, the lengths of stream (16 bits) and body (32 bits); numbers little endian. */
const headBytes = 6 + 6 + 2 * macBytes + saltBytes + 2 + 4;

/** Encodes entries for the wire, one after another. The buffer shares its memory with nothing. */
export function encodeEntries(entries: readonly Entry[]): Buffer {
  const streams = entries.map(({ stream }) => Buffer.byteLength(stream));
  const size = entries.reduce((sum, { body }, i) => sum + headBytes + (streams[i] ?? 0) + body.length, 0);
  const bytes = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const [i, { stream, epoch, seq, previousMac, mac, salt, body }] of entries.entries()) {
    at = bytes.writeUIntLE(epoch, at, 6);
    at = bytes.writeUIntLE(seq, at, 6);
    for (const field of [previousMac, mac, salt]) {
      bytes.set(field, at);
      at += field.length;
    }
    at = bytes.writeUInt16LE(streams[i] ?? 0, at);
    at = bytes.writeUInt32LE(body.length, at);
    at += bytes.write(stream, at);
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}

/** Decodes entries as views of `bytes`; null if those are not whole entries. It does not check MACs. */
export function decodeEntries(bytes: Buffer): readonly Entry[] | null {
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const macAt = at + 12 + macBytes;
    const saltAt = macAt + macBytes;
    const streamAt = at + headBytes;
    if (streamAt > bytes.length) return null;
    const bodyAt = streamAt + bytes.readUInt16LE(saltAt + saltBytes);
    const end = bodyAt + bytes.readUInt32LE(saltAt + saltBytes + 2);
    if (end > bytes.length) return null;
    entries.push({
      stream: storedStream(bytes.toString('utf8', streamAt, bodyAt)),
      epoch: bytes.readUIntLE(at, 6),
      seq: bytes.readUIntLE(at + 6, 6),
      previousMac: bytes.subarray(at + 12, macAt),
      mac: bytes.subarray(macAt, saltAt),
      salt: bytes.subarray(saltAt, saltAt + saltBytes),
      body: bytes.subarray(bodyAt, end),
    });
    at = end;
  }
  return entries;
}
