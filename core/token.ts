import { createHash, randomBytes } from 'node:crypto';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 43; // ceil(256 / log2(62))
const checksumLength = 6; // ceil(32 / log2(62))

/** The pattern for secret scanners; the checksum then removes false alarms (docs/keys.md). */
export const tokenPattern: RegExp = /\bvk_[0-9A-Za-z]{49}\b/;

function base62(bytes: Uint8Array, length: number): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = alphabet[Number(value % 62n)] + text;
    value /= 62n;
  }
  return text;
}

function checksum(secret: string): string {
  return base62(createHash('sha256').update(`vk_${secret}`).digest().subarray(0, 4), checksumLength);
}

/** A new token: `vk_`, 256 random bits in base62 (43 characters), 6 characters of checksum. */
export function mintToken(random: (size: number) => Uint8Array = randomBytes): string {
  const secret = base62(random(32), secretLength);
  return `vk_${secret}${checksum(secret)}`;
}

/** True if the shape and the checksum fit; says nothing of whether the key exists. */
export function isToken(text: string): boolean {
  if (text.length !== 52 || !tokenPattern.test(text)) return false;
  return checksum(text.slice(3, 46)) === text.slice(46);
}

/** For people: `vk_…7xKm`. */
export function tokenHint(token: string): string {
  return `vk_…${token.slice(-4)}`;
}
