import type { IncomingHttpHeaders } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';
import { type TokenId, tokenId } from '../../core/names.ts';
import { isToken } from '../../core/token.ts';
import type { ActiveKey, ActiveKeys } from '../link/active-keys.ts';

/** The caller: an active key, and the token that was sent. */
export interface Caller {
  readonly active: ActiveKey;
  readonly tokenId: TokenId;
}

/** Finds the caller by the SHA-256 of its token. Without a token there is no caller. While policy may be out of date, it refuses everybody. */
export function authenticate(keys: ActiveKeys, headers: IncomingHttpHeaders, nowMs: number): Caller | Refusal {
  const token = presentedToken(headers);
  if (token === null) {
    return refuse('invalid_key', 'This request has no KeyForge key: set the SDK’s API key to your vk_ token.');
  }
  if (keys.isStale()) {
    const message =
      'This proxy cannot reach the KeyForge operator and its policy is out of date: it refuses calls until it reaches the operator.';
    return refuse('policy_stale', message, { retryAfterSeconds: 10 });
  }
  const id = tokenId(token);
  const found = keys.byToken(id, nowMs);
  if (found === 'gone') return refuse('key_revoked', 'This key was deleted, rotated or revoked: ask its owner for the current one.');
  if (found === null) return refuse('invalid_key', unknownMessage(token));
  return { active: found, tokenId: id };
}

/** Called only after a failed lookup: the checksum distinguishes a typing error from the key of another KeyForge. */
function unknownMessage(token: string): string {
  return isToken(token)
    ? 'This KeyForge does not know this key: check that the key belongs to it.'
    : 'The API key of this request is not a KeyForge key (vk_ and 49 characters): set the SDK’s API key to your vk_ token.';
}

/** Reads the headers in which the official SDKs send their key. Two different keys in one request count as none. */
function presentedToken(headers: IncomingHttpHeaders): string | null {
  const authorization = headers.authorization;
  const bearer = authorization !== undefined && /^bearer /i.test(authorization) ? authorization.slice(7).trim() : undefined;
  const sent = [bearer, headers['x-api-key'], headers['api-key'], headers['x-goog-api-key']].filter((value) => value !== undefined);
  const [first] = sent;
  if (typeof first !== 'string' || sent.some((value) => value !== first)) return null;
  return first;
}
