import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { type TokenId, tokenId } from '../../core/names.ts';
import { mintToken } from '../../core/token.ts';
import { bot, createPurse, keyDocument } from '../line.fixture.ts';
import { type ActiveKeys, createActiveKeys } from '../link/active-keys.ts';
import { authenticate } from './authenticate.ts';

const token = mintToken();
const retired = mintToken();
const nowMs = Date.UTC(2026, 10, 20);

function createState(isStale: () => boolean = () => false): ActiveKeys {
  const state = createActiveKeys({ openFunds: () => createPurse(0), now: () => nowMs, isStale });
  const serve = (...ids: readonly TokenId[]): void => {
    const tokens = ids.map((id) => ({ id, hint: '' }));
    state.apply({ kind: 'snapshot', revision: 1, keys: [{ document: keyDocument(), tokens }], pools: [], credentials: [] });
  };
  serve(tokenId(token), tokenId(retired));
  serve(tokenId(token));
  return state;
}

/** The key that called, or the code of the refusal. */
function caller(headers: IncomingHttpHeaders, target?: string): string {
  const found = authenticate(createState(), { socket: new Socket(), headers, url: target }, nowMs);
  if ('code' in found) return found.code;
  assert.equal(found.tokenId, tokenId(token));
  return found.active.key;
}

test('a token is found in each header in which an SDK puts it', () => {
  for (const headers of [
    { authorization: `Bearer ${token}` },
    { authorization: `bearer  ${token} ` },
    { 'x-api-key': token },
    { 'api-key': token },
    { 'x-goog-api-key': token },
    { authorization: `Bearer ${token}`, 'x-api-key': token },
  ])
    assert.equal(caller(headers), bot);
});

test('no token is no caller: there is no default', () => {
  for (const headers of [
    {},
    { authorization: token },
    { authorization: `Basic ${token}` },
    { authorization: 'Bearer ' },
    { 'x-api-key': '' },
  ])
    assert.equal(caller(headers), 'invalid_key');
});

test('two different keys in one request are no key', () => {
  assert.equal(caller({ authorization: `Bearer ${token}`, 'x-api-key': mintToken() }), 'invalid_key');
  assert.equal(caller({ 'x-api-key': [token, token] as unknown as string }), 'invalid_key');
});

test('of a KeyForge key and keys of vendors, the KeyForge key is the caller’s', () => {
  const vendors = { authorization: 'Bearer sk-ant-api03-x', 'x-api-key': 'sk-ant-api03-x', 'api-key': 'azure', 'x-goog-api-key': 'AIza' };
  for (const name of Object.keys(vendors)) {
    const own = name === 'authorization' ? `Bearer ${token}` : token;
    assert.equal(caller({ ...vendors, [name]: own }, '/v1beta/models?key=AIza'), bot, name);
  }
  assert.equal(caller(vendors, `/v1beta/models/m:generateContent?alt=sse&key=${token}`), bot);
  assert.equal(caller(vendors), 'invalid_key');
  assert.equal(caller({ 'x-goog-api-key': token }, `/v1beta/models?key=${mintToken()}`), 'invalid_key');
});

test('a refusal names where a key was that is not KeyForge’s, and says if there are two that are', () => {
  const message = (headers: IncomingHttpHeaders, target?: string): string => {
    const found = authenticate(createState(), { socket: new Socket(), headers, url: target }, nowMs);
    return 'code' in found ? found.message : 'found';
  };
  assert.match(message({ 'x-api-key': 'sk-old' }), /: x-api-key holds a key that KeyForge did not issue/);
  assert.match(message({ authorization: 'Bearer sk-old', 'api-key': 'x' }), /: authorization and api-key hold keys that/);
  assert.match(message({}, '/v1beta/models?key=AIza'), /: the query parameter key holds a key that/);
  assert.match(message({ authorization: 'Basic eDp5' }), /authorization header holds no Bearer token/);
  assert.match(message({ 'x-api-key': token, 'api-key': retired }), /two different KeyForge keys/);
});

test('a token that worked before is revoked, one that never did is unknown, and the message recognises a typing error', () => {
  const message = (headers: IncomingHttpHeaders): string => {
    const found = authenticate(createState(), { socket: new Socket(), headers }, nowMs);
    return 'code' in found ? `${found.code}: ${found.message}` : 'found';
  };
  assert.match(message({ 'x-api-key': retired }), /^key_revoked: /);
  assert.match(message({ 'x-api-key': mintToken() }), /^invalid_key: This KeyForge does not know this key/);
  assert.match(message({ 'x-api-key': `${token.slice(0, -1)}_` }), /^invalid_key: The API key of this request is not a KeyForge key/);
  assert.match(message({ 'x-api-key': 'sk-proj-1234' }), /^invalid_key: The API key of this request is not a KeyForge key/);
});

test('while policy is out of date, nobody is authenticated', () => {
  let stale = true;
  const state = createState(() => stale);
  const found = authenticate(state, { socket: new Socket(), headers: { 'x-api-key': token } }, nowMs);
  assert.ok('code' in found);
  assert.deepEqual([found.code, found.retryAfterSeconds], ['policy_stale', 10]);
  stale = false;
  assert.ok('active' in authenticate(state, { socket: new Socket(), headers: { 'x-api-key': token } }, nowMs));
});

test('nothing of what was sent is in the message', () => {
  const found = authenticate(createState(), { socket: new Socket(), headers: { 'x-api-key': 'sk-proj-1234' } }, nowMs);
  assert.ok('code' in found && !found.message.includes('sk-proj'));
});

test('each token that comes over a connection is its own caller, whatever came before it', () => {
  const [socket, state] = [new Socket(), createState()];
  const codeOf = (key: string): string => {
    const found = authenticate(state, { socket, headers: { 'x-api-key': key } }, nowMs);
    return 'code' in found ? found.code : found.active.key;
  };
  assert.deepEqual([token, token, retired, mintToken(), token].map(codeOf), [bot, bot, 'key_revoked', 'invalid_key', bot]);
});
