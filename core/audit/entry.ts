import { hash, hkdfSync } from 'node:crypto';
import type { StreamId } from '../names.ts';
import { createFixedHmac } from './hmac.ts';

/** Domain of every MAC and info prefix of every epoch key. */
const auditDomain = 'keyforge/audit/v1';
/** Bytes of MACs, chain keys and commitments. */
export const macBytes = 32;
/** Bytes of an entry's salt. */
export const saltBytes = 16;

/** `previousMac` of an epoch's first entry. */
export const firstPreviousMac: Buffer = Buffer.alloc(macBytes);

/** K₀ of an epoch: HKDF-SHA256 (RFC 5869) of the root key, salted by the epoch's nonce (hexadecimal). */
export function deriveEpochKey(root: Buffer, nonceHex: string, stream: StreamId, epoch: number): Buffer {
  return Buffer.from(hkdfSync('sha256', root, Buffer.from(nonceHex, 'hex'), `${auditDomain}|${stream}|${epoch}`, macBytes));
}

const ratchetHmac = createFixedHmac('ratchet'.length);
ratchetHmac.message.write('ratchet');

/** The next chain key. It depends on the old key alone, so verification continues after a broken entry. The caller wipes the old key. */
export function ratchet(key: Buffer): Buffer {
  return ratchetHmac.secretDigest(key);
}

/** What an entry commits to: SHA-256(salt ‖ body). The chain still verifies after salt and body are erased. */
export function commit(saltAndBody: Buffer): Buffer {
  return Buffer.from(hash('sha256', saltAndBody, 'latin1'), 'latin1');
}

/** Computes the MACs of one epoch. Do not share it: it fills one buffer in place. */
export type Sealer = (key: Buffer, seq: number, previousMac: Buffer, commitment: Buffer) => Buffer;

/**
 * The MAC's input is six fields, each preceded by its length (32 bits, big endian): domain, stream (UTF-8),
 * epoch and seq (64 bits, big endian; below 2^48), previous MAC, commitment.
 */
export function createSealer(stream: StreamId, epoch: number): Sealer {
  const head = Buffer.concat([field(Buffer.from(auditDomain)), field(Buffer.from(stream)), field(number64(epoch))]);
  const fields = Buffer.concat([head, field(number64(0)), field(firstPreviousMac), field(firstPreviousMac)]);
  const hmac = createFixedHmac(fields.length);
  hmac.message.set(fields);
  const seqAt = head.length + 4;
  const previousAt = seqAt + 8 + 4;
  const commitmentAt = previousAt + macBytes + 4;
  return (key, seq, previousMac, commitment) => {
    hmac.message.writeUIntBE(seq, seqAt + 2, 6);
    hmac.message.set(previousMac, previousAt);
    hmac.message.set(commitment, commitmentAt);
    return hmac.digest(key);
  };
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUIntBE(value, 2, 6);
  return bytes;
}
