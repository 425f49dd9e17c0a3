import { type KeyName, tokenId } from '../../core/names.ts';
import { mintToken, tokenHint } from '../../core/token.ts';
import type { KeyRows, TokenRow } from '../store/types.ts';
import { openToken, sealToken } from './token-seal.ts';

/** Source of randomness: `size` random bytes. */
export type Random = (size: number) => Uint8Array;

/** What tokens are made and sealed with. */
export interface TokenPress {
  readonly random: Random;
  /** 32 bytes. */
  readonly rootKey: Buffer;
}

/**
 * The rows of a key's tokens read as one state. `current` opens the key without an end; `leaving` were rotated away and
 * still open it. No current token though rows exist: the key was revoked, and stays so until it is rotated or re-created.
 */
export interface Tokens {
  readonly current: TokenRow | null;
  readonly leaving: readonly TokenRow[];
  /** Rotated away and past their end: the loopback of a Pod that was started with one still knows it. */
  readonly left: readonly TokenRow[];
  readonly revoked: boolean;
}

/**
 * Rotated-away tokens of a key that are remembered, still open or not: a Pod that has lived through more rotations is to be restarted.
 * Whoever may ask for rotations could else let them grow without end.
 */
const mostLeft = 20;

/** Reads the tokens of a key as they stand. */
export function tokensOf(rows: KeyRows, key: KeyName, nowMs: number): Tokens {
  const all = rows.tokens(key);
  const current = all.find(({ validUntilMs }) => validUntilMs === undefined) ?? null;
  const isLeaving = ({ validUntilMs }: TokenRow): boolean => validUntilMs !== undefined && validUntilMs > nowMs;
  const others = all.filter((row) => row !== current);
  return {
    current,
    leaving: others.filter(isLeaving),
    left: current === null ? [] : others.filter((row) => !isLeaving(row)),
    revoked: all.length > 0 && current === null,
  };
}

/** Adds a new current token; the token itself is kept sealed only. */
export function addToken(rows: KeyRows, key: KeyName, nowMs: number, { random, rootKey }: TokenPress): string {
  const token = mintToken(random);
  const id = tokenId(token);
  rows.putToken({ id, key, hint: tokenHint(token), createdAtMs: nowMs, sealed: sealToken(rootKey, key, id, token, random) });
  return token;
}

/** The token of a row; null where it was not sealed under this root key for this key. */
export function readToken({ key, id, sealed }: TokenRow, rootKey: Buffer): string | null {
  return openToken(rootKey, key, id, sealed);
}

/** A new current token now; the one before it opens the key for `overlapMs` more. Also brings a revoked key back. */
export function rotateToken(rows: KeyRows, key: KeyName, nowMs: number, press: TokenPress & { readonly overlapMs: number }): string {
  const { revoked, left, leaving } = tokensOf(rows, key, nowMs);
  const gone = revoked ? rows.tokens(key) : [...left, ...leaving].slice(0, Math.max(0, left.length + leaving.length - mostLeft));
  for (const { id } of gone) rows.dropToken(id);
  for (const row of rows.tokens(key)) {
    rows.putToken({ ...row, validUntilMs: Math.min(row.validUntilMs ?? Number.POSITIVE_INFINITY, nowMs + press.overlapMs) });
  }
  return addToken(rows, key, nowMs, press);
}

/** Ends every token now, for Pods too. One row stays: it is what keeps the key dead over restarts. False where none was alive. */
export function revokeTokens(rows: KeyRows, key: KeyName, nowMs: number): boolean {
  const { current, leaving, left } = tokensOf(rows, key, nowMs);
  if (current === null) return false;
  for (const { id } of [...leaving, ...left]) rows.dropToken(id);
  rows.putToken({ ...current, validUntilMs: nowMs });
  return true;
}
