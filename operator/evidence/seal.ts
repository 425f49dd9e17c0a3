import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { EpochRow } from '../store/types.ts';

const ivBytes = 12;
const tagBytes = 16;

/**
 * An epoch's row with its chain key sealed: AES-256-GCM under a key derived from the root key, bound to the row's head.
 * So a row whose head was set back by hand no longer opens.
 */
export function sealRow(row: Omit<EpochRow, 'sealedKey'>, chainKey: Buffer, deps: SealDeps): EpochRow {
  const iv = deps.random(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', sealingKey(deps.rootKey), iv).setAAD(boundTo(row));
  const sealed = Buffer.concat([iv, cipher.update(chainKey), cipher.final(), cipher.getAuthTag()]);
  return { ...row, sealedKey: sealed.toString('hex') };
}

/** The chain key past the row's head; null where the row was altered or the root key is another. */
export function openRow(row: EpochRow, rootKey: Buffer): Buffer | null {
  const sealed = Buffer.from(row.sealedKey, 'hex');
  if (sealed.length <= ivBytes + tagBytes) return null;
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(rootKey), sealed.subarray(0, ivBytes), { authTagLength: tagBytes });
  decipher.setAAD(boundTo(row)).setAuthTag(sealed.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(ivBytes, -tagBytes)), decipher.final()]);
  } catch {
    return null;
  }
}

export interface SealDeps {
  /** 32 bytes. */
  readonly rootKey: Buffer;
  readonly random: (size: number) => Uint8Array;
}

function sealingKey(rootKey: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', rootKey, '', 'keyforge/seal/v1', 32));
}

function boundTo({ stream, epoch, nonce, lastSeq, lastMac }: Omit<EpochRow, 'sealedKey'>): Buffer {
  return Buffer.from(`${stream}|${epoch}|${nonce}|${lastSeq}|${lastMac}`);
}
