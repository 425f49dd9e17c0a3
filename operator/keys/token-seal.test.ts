import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { keyName, tokenId } from '../../core/names.ts';
import { mintToken } from '../../core/token.ts';
import { openToken, sealToken } from './token-seal.ts';

const rootKey = randomBytes(32);
const key = keyName('agents', 'bot');
const token = mintToken();
const id = tokenId(token);

test('a sealed token opens to the same token', () => {
  assert.equal(openToken(rootKey, key, id, sealToken(rootKey, key, id, token, randomBytes)), token);
});

test('a sealed token shows nothing of the token, and no two look alike', () => {
  const sealed = sealToken(rootKey, key, id, token, randomBytes);
  assert.ok(!sealed.includes(token.slice(3, 11)));
  assert.notDeepEqual(sealed, sealToken(rootKey, key, id, token, randomBytes));
});

test('a token does not open for another key, another id or under another root key', () => {
  const sealed = sealToken(rootKey, key, id, token, randomBytes);
  assert.equal(openToken(rootKey, keyName('agents', 'other'), id, sealed), null);
  assert.equal(openToken(rootKey, key, tokenId(mintToken()), sealed), null);
  assert.equal(openToken(randomBytes(32), key, id, sealed), null);
});

test('a token with any bit changed or any byte missing does not open', () => {
  const sealed = sealToken(rootKey, key, id, token, randomBytes);
  for (let at = 0; at < sealed.length; at += 1) {
    const altered = Buffer.from(sealed);
    altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
    assert.equal(openToken(rootKey, key, id, altered), null, `byte ${at}`);
    assert.equal(openToken(rootKey, key, id, sealed.subarray(0, at)), null, `cut at ${at}`);
  }
});

test('a token that an earlier release sealed still opens', () => {
  const sealed = Buffer.from('BwcHBwcHBwcHBwcHlVuikqVET1YtSVlSTJsRMErbM8bAWr4=', 'base64');
  assert.equal(openToken(Buffer.alloc(32, 1), keyName('ns', 'key'), tokenId('vk_test'), sealed), 'vk_test');
});
