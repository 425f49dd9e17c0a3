import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

const ivBytes = 12;
const tagBytes = 16;

/** Returns this many cryptographically random bytes. */
export type Random = (size: number) => Uint8Array;

/** What sealing the operator's own rows needs. Sealing keys are derived from the root key, one for each purpose. */
export interface SealDeps {
  /** 32 bytes. */
  readonly rootKey: Buffer;
  readonly random: Random;
}

/**
 * Derives a key for one purpose, so that data sealed for one purpose never opens for another: HKDF-SHA-256 (RFC 5869) of a
 * 32-byte key without salt. 32 bytes.
 */
export function deriveKey(key: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', purpose, 32));
}

/**
 * Seals with AES-256-GCM, the one envelope for all data at rest: 12 random bytes of IV, ciphertext, 16 bytes of tag. `bound` is
 * the additional authenticated data: `open` needs the same bytes.
 */
export function seal(key: Uint8Array, plain: Uint8Array, bound: Uint8Array, random: Random): Buffer {
  const iv = random(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(bound);
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `seal` made; null if the key or `bound` differs, or a bit was changed. */
export function open(key: Uint8Array, sealed: Uint8Array, bound: Uint8Array): Buffer | null {
  if (sealed.length < ivBytes + tagBytes) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes });
  decipher.setAAD(bound).setAuthTag(sealed.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(ivBytes, -tagBytes)), decipher.final()]);
  } catch {
    return null;
  }
}

/** Joins the parts, each after its length in 4 bytes, so that no two lists give the same bytes. */
export function bind(...parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
