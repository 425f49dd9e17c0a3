import type { EpochRow } from '../store/types.ts';
import { deriveKey, open, type SealDeps, seal } from '../vault/aead.ts';

const purpose = 'keyforge/seal/v1';

/**
 * Makes an epoch's row, with its chain key sealed under a key derived from the root key and bound to the row's head.
 * If somebody sets the head back by hand, the row no longer opens.
 */
export function sealRow(row: Omit<EpochRow, 'sealedKey'>, chainKey: Buffer, { rootKey, random }: SealDeps): EpochRow {
  return { ...row, sealedKey: seal(deriveKey(rootKey, purpose), chainKey, headOf(row), random).toString('hex') };
}

/** Opens the chain key past the row's head; null if the row was altered or the root key is another. */
export function openRow(row: EpochRow, rootKey: Buffer): Buffer | null {
  return open(deriveKey(rootKey, purpose), Buffer.from(row.sealedKey, 'hex'), headOf(row));
}

/** No part can hold a `|`, so no two heads give the same bytes. */
function headOf({ stream, epoch, nonce, lastSeq, lastMac }: Omit<EpochRow, 'sealedKey'>): Buffer {
  return Buffer.from(`${stream}|${epoch}|${nonce}|${lastSeq}|${lastMac}`);
}
