import type { KeyName, TokenId } from '../../core/names.ts';
import { bind, deriveKey, open, type Random, seal } from '../vault/aead.ts';

const version = 'keyforge/token/v1';

/**
 * A token as it rests in the store: AES-256-GCM under a key derived from the root key (32 bytes), bound to the
 * VirtualKey and the token's id, so that a row copied to another key does not open.
 */
export function sealToken(rootKey: Buffer, key: KeyName, tokenId: TokenId, token: string, random: Random): Buffer {
  return seal(deriveKey(rootKey, version), Buffer.from(token), bind(version, key, tokenId), random);
}

/** The token; null where the row was altered or moved, or the root key is another. */
export function openToken(rootKey: Buffer, key: KeyName, tokenId: TokenId, sealed: Uint8Array): string | null {
  return open(deriveKey(rootKey, version), sealed, bind(version, key, tokenId))?.toString() ?? null;
}
