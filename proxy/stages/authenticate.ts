import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { type Refusal, refuse } from '../../core/errors.ts';
import { type TokenId, tokenId } from '../../core/names.ts';
import { isToken } from '../../core/token.ts';
import type { ActiveKey, ActiveKeys } from '../link/active-keys.ts';

/** The caller: an active key, and the token that was sent. */
export interface Caller {
  readonly active: ActiveKey;
  readonly tokenId: TokenId;
}

/** What of a request says who sends it. */
interface Presented {
  readonly headers: IncomingHttpHeaders;
  /** Path and query, which may hold the key as `?key=`. */
  readonly url?: string | undefined;
  readonly socket: Socket;
}

/**
 * Finds the caller by the SHA-256 of its token. Without a token there is no caller. While policy may be out of date, it refuses
 * everybody.
 */
export function authenticate(keys: ActiveKeys, { headers, url = '', socket }: Presented, nowMs: number): Caller | Refusal {
  const token = presentedToken(headers, url);
  if (typeof token !== 'string') return token;
  if (keys.isStale()) {
    const message =
      'This proxy cannot reach the KeyForge operator and its policy is out of date: it refuses calls until it reaches the operator.';
    return refuse('policy_stale', message, { retryAfterSeconds: 10 });
  }
  const id = idOn(socket, token);
  const found = keys.byToken(id, nowMs);
  if (found === 'gone') return refuse('key_revoked', 'This key was deleted, rotated or revoked: ask its owner for the current one.');
  if (found === null) return refuse('invalid_key', unknownMessage(token));
  return { active: found, tokenId: id };
}

/** The last token of each connection, which most of its requests repeat. */
const lastTokens = new WeakMap<Socket, { readonly token: string; readonly id: TokenId }>();

function idOn(socket: Socket, token: string): TokenId {
  const last = lastTokens.get(socket);
  if (last?.token === token) return last.id;
  const id = tokenId(token);
  lastTokens.set(socket, { token, id });
  return id;
}

/** Called only after a failed lookup: the checksum distinguishes a typing error from the key of another KeyForge. */
function unknownMessage(token: string): string {
  return isToken(token)
    ? 'This KeyForge does not know this key: check that the key belongs to it.'
    : `The API key of this request is not a KeyForge key (${shape}): ${advice}.`;
}

const shape = 'vk_ and 49 characters';
const advice = 'set the SDK’s API key to your vk_ token';

/** Where SDKs put their key beside `Authorization`. */
const keyHeaders = ['x-api-key', 'api-key', 'x-goog-api-key'] as const;

/**
 * The one KeyForge token among the keys that a request carries. Clients send a vendor's key of an earlier login beside it (Claude
 * Code); no key of the caller's goes upstream. Two different tokens count as none, because either could be meant.
 */
function presentedToken(headers: IncomingHttpHeaders, target: string): string | Refusal {
  let token = ownToken(bearerOf(headers), undefined);
  for (const name of keyHeaders) token = ownToken(headers[name], token);
  if (target.includes('key=')) token = ownToken(queryKeyOf(target), token);
  if (token === undefined) return refuse('invalid_key', missingMessage(headers, target));
  return token === null
    ? refuse('invalid_key', 'This request carries two different KeyForge keys: send one of them, in one header.')
    : token;
}

/** The token so far, and this value if it is one; null: there are two. */
function ownToken(value: unknown, token: string | null | undefined): string | null | undefined {
  if (typeof value !== 'string' || !value.startsWith('vk_') || value === token) return token;
  return token === undefined ? value : null;
}

function bearerOf({ authorization }: IncomingHttpHeaders): string | undefined {
  return authorization !== undefined && /^bearer /i.test(authorization) ? authorization.slice(7).trim() : undefined;
}

/** Google's APIs also read the key from the query. */
function queryKeyOf(target: string): string | undefined {
  return /[?&]key=([^&#]*)/.exec(target)?.[1];
}

/** Says what was found where, without the values. */
function missingMessage(headers: IncomingHttpHeaders, target: string): string {
  const places: string[] = keyHeaders.filter((name) => headers[name] !== undefined && headers[name] !== '');
  const bearer = bearerOf(headers);
  if (bearer !== undefined && bearer !== '') places.unshift('authorization');
  if (queryKeyOf(target)) places.push('the query parameter key');
  if (places.length > 0)
    return `The API key of this request is not a KeyForge key: ${places.join(' and ')} ${places.length > 1 ? 'hold keys' : 'holds a key'} that KeyForge did not issue (${shape}): ${advice}.`;
  if (headers.authorization !== undefined)
    return `This request has no KeyForge key: its authorization header holds no Bearer token: ${advice}.`;
  return `This request has no KeyForge key: ${advice}.`;
}
