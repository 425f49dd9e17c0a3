import type { TokenRow } from '../store/types.ts';
import { bind, deriveKey, open, type SealDeps, seal } from '../vault/aead.ts';

const version = 'keyforge/token/v1';

/**
 * A token as it rests in the store: sealed under a key derived from the root key, bound to the VirtualKey and the
 * token's id, so that a row copied to another key does not open.
 */
export function sealToken(token: string, { key, id }: Pick<TokenRow, 'key' | 'id'>, { rootKey, random }: SealDeps): Buffer {
  return seal(deriveKey(rootKey, version), Buffer.from(token), bind(version, key, id), random);
}

/** The token of a row, a secret; null where the row was altered or moved, or the root key is another. */
export function openToken({ key, id, sealed }: Pick<TokenRow, 'key' | 'id' | 'sealed'>, rootKey: Buffer): string | null {
  return open(deriveKey(rootKey, version), sealed, bind(version, key, id))?.toString() ?? null;
}
