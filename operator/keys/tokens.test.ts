import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { keyName, tokenId } from '../../core/names.ts';
import { mintToken } from '../../core/token.ts';
import { openToken, sealToken } from './tokens.ts';

const rootKey = randomBytes(32);
const key = keyName('agents', 'bot');
const token = mintToken();
const id = tokenId(token);
const deps = { rootKey, random: randomBytes };

test('a sealed token opens to the same token', () => {
  assert.equal(openToken({ key, id, sealed: sealToken(token, { key, id }, deps) }, rootKey), token);
});

test('a sealed token shows nothing of the token, and no two look alike', () => {
  const sealed = sealToken(token, { key, id }, deps);
  assert.ok(!sealed.includes(token.slice(3, 11)));
  assert.notDeepEqual(sealed, sealToken(token, { key, id }, deps));
});

test('a token does not open for another key, another id or under another root key', () => {
  const sealed = sealToken(token, { key, id }, deps);
  assert.equal(openToken({ key: keyName('agents', 'other'), id, sealed }, rootKey), null);
  assert.equal(openToken({ key, id: tokenId(mintToken()), sealed }, rootKey), null);
  assert.equal(openToken({ key, id, sealed }, randomBytes(32)), null);
});

test('a token with any bit changed or any byte missing does not open', () => {
  const sealed = sealToken(token, { key, id }, deps);
  for (let at = 0; at < sealed.length; at += 1) {
    const altered = Buffer.from(sealed);
    altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
    assert.equal(openToken({ key, id, sealed: altered }, rootKey), null, `byte ${at}`);
    assert.equal(openToken({ key, id, sealed: sealed.subarray(0, at) }, rootKey), null, `cut at ${at}`);
  }
});

test('a token that an earlier release sealed still opens', () => {
  const sealed = Buffer.from('BwcHBwcHBwcHBwcHlVuikqVET1YtSVlSTJsRMErbM8bAWr4=', 'base64');
  assert.equal(openToken({ key: keyName('ns', 'key'), id: tokenId('vk_test'), sealed }, Buffer.alloc(32, 1)), 'vk_test');
});
