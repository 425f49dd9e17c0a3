import type { IncomingHttpHeaders } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';
import { type TokenId, tokenId } from '../../core/names.ts';
import { isToken } from '../../core/token.ts';
import type { ActiveKey, ActiveKeys } from '../link/active-keys.ts';

/** Who calls: an active key, and the token that was sent. */
export interface Caller {
  readonly active: ActiveKey;
  readonly tokenId: TokenId;
}

/** Finds the caller by the SHA-256 of its token. There is no default principal: no token, no caller. Nobody is authenticated by a policy that may be out of date. */
export function authenticate(keys: ActiveKeys, headers: IncomingHttpHeaders, nowMs: number): Caller | Refusal {
  const token = presentedToken(headers);
  if (token === null) {
    return refuse('invalid_key', 'No KeyForge key was sent: set the SDK’s API key to your vk_ token.');
  }
  if (keys.isStale()) {
    const message = 'The policy here is out of date, since the KeyForge operator cannot be reached: nothing is served until it can.';
    return refuse('policy_stale', message, { retryAfterSeconds: 10 });
  }
  const id = tokenId(token);
  const found = keys.byToken(id, nowMs);
  if (found === 'gone') return refuse('key_revoked', 'This key was deleted, rotated or revoked: ask its owner for the current one.');
  if (found === null) return refuse('invalid_key', unknownMessage(token));
  return { active: found, tokenId: id };
}

/** Called only after the lookup failed: the checksum distinguishes a typing error from another KeyForge's key. */
function unknownMessage(token: string): string {
  return isToken(token)
    ? 'This key is not known here: check that it belongs to this KeyForge.'
    : 'What was sent as API key is not a KeyForge key (vk_ and 49 characters): set the SDK’s API key to your vk_ token.';
}

/** The headers in which the official SDKs put their key. Two different keys in one request are no key. */
function presentedToken(headers: IncomingHttpHeaders): string | null {
  const authorization = headers.authorization;
  const bearer = authorization !== undefined && /^bearer /i.test(authorization) ? authorization.slice(7).trim() : undefined;
  const sent = [bearer, headers['x-api-key'], headers['api-key'], headers['x-goog-api-key']].filter((value) => value !== undefined);
  const [first] = sent;
  if (typeof first !== 'string' || sent.some((value) => value !== first)) return null;
  return first;
}
