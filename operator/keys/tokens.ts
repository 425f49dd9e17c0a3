import { type KeyName, tokenId } from '../../core/names.ts';
import { mintToken, tokenHint } from '../../core/token.ts';
import type { KeyRows, TokenRow } from '../store/types.ts';
import { bind, deriveKey, open, type SealDeps, seal } from '../vault/aead.ts';

/**
 * The tokens of a key, from its rows. `current` has no end. If rows exist without a current token, the key is revoked until
 * somebody rotates or re-creates it.
 */
export interface Tokens {
  readonly current: TokenRow | null;
  /** Rotated tokens that are still valid for a while. */
  readonly expiring: readonly TokenRow[];
  /** Rotated tokens past their end. The loopback of a Pod that started with one still accepts it. */
  readonly expired: readonly TokenRow[];
  readonly revoked: boolean;
}

const sealVersion = 'keyforge/token/v1';

/**
 * Maximum of rotated tokens of a key in the store, valid or not: restart a Pod that is older than this many rotations.
 * Without a maximum, anybody who may rotate could make the list grow without end.
 */
const maxRotated = 20;

/** Reads the tokens of a key. */
export function tokensOf(rows: KeyRows, key: KeyName, nowMs: number): Tokens {
  const all = rows.tokens(key);
  const current = all.find(({ validUntilMs }) => validUntilMs === undefined) ?? null;
  const isExpiring = ({ validUntilMs }: TokenRow): boolean => validUntilMs !== undefined && validUntilMs > nowMs;
  const rotated = all.filter((row) => row !== current);
  return {
    current,
    expiring: rotated.filter(isExpiring),
    expired: current === null ? [] : rotated.filter((row) => !isExpiring(row)),
    revoked: all.length > 0 && current === null,
  };
}

/** Adds a new current token and returns it, a secret. The store keeps only its sealed form. */
export function addToken(rows: KeyRows, key: KeyName, nowMs: number, deps: SealDeps): string {
  const token = mintToken(deps.random);
  const id = tokenId(token);
  rows.putToken({ id, key, hint: tokenHint(token), createdAtMs: nowMs, sealed: sealToken(token, { key, id }, deps) });
  return token;
}

/** What a rotation needs. */
interface Rotation extends SealDeps {
  readonly overlapMs: number;
}

/** Makes a new current token and returns it. The previous token works for `overlapMs` more. It also restores a revoked key. */
export function rotateToken(rows: KeyRows, key: KeyName, nowMs: number, { overlapMs, ...deps }: Rotation): string {
  const { revoked, expired, expiring } = tokensOf(rows, key, nowMs);
  const rotated = [...expired, ...expiring];
  const dropped = revoked ? rows.tokens(key) : rotated.slice(0, Math.max(0, rotated.length - maxRotated));
  for (const { id } of dropped) rows.dropToken(id);
  for (const row of rows.tokens(key)) {
    rows.putToken({ ...row, validUntilMs: Math.min(row.validUntilMs ?? Number.POSITIVE_INFINITY, nowMs + overlapMs) });
  }
  return addToken(rows, key, nowMs, deps);
}

/** Ends every token now, for Pods too. One row remains, to keep the key revoked over restarts. False if none was valid. */
export function revokeTokens(rows: KeyRows, key: KeyName, nowMs: number): boolean {
  const { current, expiring, expired } = tokensOf(rows, key, nowMs);
  if (current === null) return false;
  for (const { id } of [...expiring, ...expired]) rows.dropToken(id);
  rows.putToken({ ...current, validUntilMs: nowMs });
  return true;
}

/**
 * Seals a token for the store under a key derived from the root key. The seal is bound to the VirtualKey and the token's id,
 * so that a row copied to another key does not open.
 */
export function sealToken(token: string, { key, id }: Pick<TokenRow, 'key' | 'id'>, { rootKey, random }: SealDeps): Buffer {
  return seal(deriveKey(rootKey, sealVersion), Buffer.from(token), bind(sealVersion, key, id), random);
}

/** Opens the token of a row, a secret; null if the row was altered or moved, or the root key is another. */
export function openToken({ key, id, sealed }: Pick<TokenRow, 'key' | 'id' | 'sealed'>, rootKey: Buffer): string | null {
  return open(deriveKey(rootKey, sealVersion), sealed, bind(sealVersion, key, id))?.toString() ?? null;
}
