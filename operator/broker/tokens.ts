import { type KeyName, mintToken, tokenHint, tokenId } from '../../core/key.ts';
import type { KeyRows, TokenRow } from '../store/types.ts';

/** Source of randomness: `size` random bytes. */
export type Random = (size: number) => Uint8Array;

/**
 * The rows of a key's tokens read as one state. `current` opens the key without an end; `leaving` were rotated away and
 * still open it. No current token though rows exist: the key was revoked, and stays so until it is rotated or re-created.
 */
export interface Tokens {
  readonly current: TokenRow | null;
  readonly leaving: readonly TokenRow[];
  readonly revoked: boolean;
}

/** Reads the tokens of a key as they stand. */
export function tokensOf(rows: KeyRows, key: KeyName, nowMs: number): Tokens {
  const all = rows.tokens(key);
  const current = all.find(({ validUntilMs }) => validUntilMs === undefined) ?? null;
  const leaving = all.filter(({ validUntilMs }) => validUntilMs !== undefined && validUntilMs > nowMs);
  return { current, leaving, revoked: all.length > 0 && current === null };
}

/** Adds a new current token; the token itself is returned here and kept nowhere else. */
export function addToken(rows: KeyRows, key: KeyName, nowMs: number, random: Random): string {
  const token = mintToken(random);
  rows.putToken({ id: tokenId(token), key, hint: tokenHint(token), createdAtMs: nowMs });
  return token;
}

/** How a token gives way to the next. */
export interface Rotation {
  /** How long the token before it still opens the key; with 0 every older token is dead at once. */
  readonly overlapMs: number;
  readonly random: Random;
}

/** A new current token now. Also brings a revoked key back. */
export function rotateToken(rows: KeyRows, key: KeyName, nowMs: number, { overlapMs, random }: Rotation): string {
  for (const row of rows.tokens(key)) {
    const untilMs = Math.min(row.validUntilMs ?? Number.POSITIVE_INFINITY, nowMs + overlapMs);
    if (untilMs > nowMs) rows.putToken({ ...row, validUntilMs: untilMs });
    else rows.dropToken(row.id);
  }
  return addToken(rows, key, nowMs, random);
}

/** Ends every token now. The rows stay: they are what keeps the key dead over restarts. False where none was alive. */
export function revokeTokens(rows: KeyRows, key: KeyName, nowMs: number): boolean {
  const alive = rows.tokens(key).filter(({ validUntilMs }) => validUntilMs === undefined || validUntilMs > nowMs);
  for (const row of alive) rows.putToken({ ...row, validUntilMs: nowMs });
  return alive.length > 0;
}
