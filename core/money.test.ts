import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addMoney, formatUsd, MoneyOverflow, parseUsd, parseUsdPerMillion, picoCost, picoToNano } from './money.ts';

const amount = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe('money', () => {
  it('reads decimal dollars exactly', () => {
    assert.equal(parseUsd('50.00'), 50_000_000_000);
    assert.equal(parseUsd('0.075'), 75_000_000);
    assert.equal(parseUsd('0.000000001'), 1);
    assert.equal(parseUsd('0'), 0);
    assert.equal(parseUsd('9007199.254740991'), Number.MAX_SAFE_INTEGER);
  });

  it('refuses what is not a plain decimal or does not fit', () => {
    const bad = [
      '',
      ' 1',
      '1 ',
      '+1',
      '-1',
      '1.',
      '.5',
      '5,00',
      '1e3',
      '0x10',
      '01',
      '1.0000000001',
      'NaN',
      '١',
      '1\n',
      '9007199.254740992',
      '999999999',
    ];
    for (const text of bad) assert.equal(parseUsd(text), null, JSON.stringify(text));
  });

  it('reads dollars per million tokens into pico-dollars per token', () => {
    assert.equal(parseUsdPerMillion('0.75'), 750_000);
    assert.equal(parseUsdPerMillion('0.000001'), 1);
    assert.equal(parseUsdPerMillion('0.0000001'), null);
    assert.equal(parseUsdPerMillion('-1'), null);
  });

  it('writes exact decimals with at least two places', () => {
    assert.equal(formatUsd(0), '0.00');
    assert.equal(formatUsd(1), '0.000000001');
    assert.equal(formatUsd(1_500_000_000), '1.50');
    assert.equal(formatUsd(-1_234_000_000), '-1.234');
    assert.equal(formatUsd(Number.MAX_SAFE_INTEGER), '9007199.254740991');
  });

  it('gives back what was written, for every amount', () => {
    fc.assert(fc.property(amount, (nano) => parseUsd(formatUsd(nano)) === nano));
  });

  it('rounds up, and by less than one nano-dollar', () => {
    assert.equal(picoToNano(0), 0);
    assert.equal(picoToNano(1), 1);
    assert.equal(picoToNano(1000), 1);
    assert.equal(picoToNano(1001), 2);
    fc.assert(
      fc.property(amount, (pico) => {
        const nano = picoToNano(pico);
        assert.ok(BigInt(nano) * 1000n >= BigInt(pico) && BigInt(nano) * 1000n < BigInt(pico) + 1000n);
      }),
    );
  });

  it('is exact, or throws MoneyOverflow', () => {
    fc.assert(
      fc.property(amount, amount, (a, b) => {
        const sum = BigInt(a) + BigInt(b);
        if (sum <= Number.MAX_SAFE_INTEGER) assert.equal(BigInt(addMoney(a, b)), sum);
        else assert.throws(() => addMoney(a, b), MoneyOverflow);
      }),
    );
    fc.assert(
      fc.property(fc.nat(2_000_000), fc.maxSafeNat(), (tokens, rate) => {
        const product = BigInt(tokens) * BigInt(rate);
        if (product <= Number.MAX_SAFE_INTEGER) assert.equal(BigInt(picoCost(tokens, rate)), product);
        else assert.throws(() => picoCost(tokens, rate), MoneyOverflow);
      }),
    );
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 0.5]) assert.throws(() => picoToNano(value), MoneyOverflow);
  });
});
