import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { keyName, tokenId } from './names.ts';
import { isToken, mintToken, tokenHint, tokenPattern } from './token.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const random = fc.uint8Array({ minLength: 32, maxLength: 32 });
const token = random.map((bytes) => mintToken(() => bytes));

describe('token', () => {
  it('has a fixed form for given random bytes', () => {
    assert.equal(
      mintToken(() => new Uint8Array(32)),
      'vk_00000000000000000000000000000000000000000000lwv3h',
    );
    assert.equal(
      mintToken(() => new Uint8Array(32).fill(0xff)),
      'vk_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp10l50ET',
    );
  });

  it('draws 32 random bytes, and differs each time', () => {
    const sizes: number[] = [];
    mintToken((size) => {
      sizes.push(size);
      return new Uint8Array(size);
    });
    assert.deepEqual(sizes, [32]);
    assert.notEqual(mintToken(), mintToken());
  });

  it('carries all 256 bits: different bytes give different tokens', () => {
    fc.assert(fc.property(random, random, (a, b) => Buffer.compare(a, b) === 0 || mintToken(() => a) !== mintToken(() => b)));
  });

  it('is recognised anywhere in a text, also by the scanner’s pattern', () => {
    fc.assert(
      fc.property(token, (text) => {
        assert.equal(isToken(text), true);
        assert.equal(text.length, 52);
        assert.equal(tokenPattern.exec(`Authorization: Bearer ${text}\n`)?.[0], text);
        assert.equal(tokenPattern.exec(`KEY="${text}",`)?.[0], text);
      }),
    );
  });

  it('is refused with any one character changed', () => {
    const position = fc.nat(51);
    const character = fc.oneof(fc.constantFrom(...alphabet), fc.string({ minLength: 1, maxLength: 1 }));
    fc.assert(
      fc.property(token, position, character, (text, at, other) => {
        fc.pre(text[at] !== other);
        assert.equal(isToken(text.slice(0, at) + other + text.slice(at + 1)), false);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused when cut, extended or reordered', () => {
    const text = mintToken(() => new Uint8Array(32).fill(7));
    for (const bad of [
      '',
      'vk_',
      text.slice(1),
      text.slice(0, -1),
      `${text}0`,
      ` ${text}`,
      `${text}\n`,
      text.toUpperCase(),
      text.replace('vk_', 'sk_'),
    ]) {
      assert.equal(isToken(bad), false, bad);
    }
    fc.assert(
      fc.property(token, fc.nat(47), (vk, offset) => {
        const at = 3 + offset;
        const swapped = vk.slice(0, at) + vk.slice(at + 1, at + 2) + vk.slice(at, at + 1) + vk.slice(at + 2);
        return swapped === vk || !isToken(swapped);
      }),
    );
  });

  it('is known by its SHA-256 and shown by its last four characters', () => {
    fc.assert(
      fc.property(token, (text) => {
        assert.equal(tokenId(text), createHash('sha256').update(text).digest('hex'));
        assert.equal(tokenHint(text), `vk_…${text.slice(48)}`);
      }),
    );
  });
});

describe('keyName', () => {
  it('joins namespace and name', () => assert.equal(keyName('agents', 'bot'), 'agents/bot'));
});
