import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MoneyOverflow } from '../money.ts';
import { costOf } from './cost.ts';
import type { ModelPrice, Rates, Usage } from './types.ts';

const rates: Rates = {
  input: 3_000_000,
  cachedInput: 300_000,
  cacheWrite: 3_750_000,
  cacheWrite1h: 6_000_000,
  output: 15_000_000,
  reasoning: 20_000_000,
  inputAudio: 40_000_000,
  cachedInputAudio: 2_500_000,
  inputImage: 5_000_000,
  outputAudio: 80_000_000,
  outputImage: 30_000_000,
};
const doubled = Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate * 2])) as unknown as Rates;
const base: ModelPrice = { rates, tiers: [], fees: { webSearch: 10_000_000 }, percent: { priority: 200 } };
const price: ModelPrice = { ...base, tiers: [{ above: 200_000, rates: doubled }] };
const none: Usage = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 };
const cost = (usage: Partial<Usage>): number => costOf(price, { ...none, ...usage });

describe('costOf', () => {
  it('bills each class at its own rate, parts out of their class', () => {
    assert.equal(cost({}), 0);
    assert.equal(cost({ input: 1000 }), 3_000_000);
    assert.equal(cost({ cachedInput: 1000 }), 300_000);
    assert.equal(cost({ cacheWrite: 1000 }), 3_750_000);
    assert.equal(cost({ cacheWrite: 1000, cacheWrite1h: 400 }), 600 * 3750 + 400 * 6000);
    assert.equal(cost({ output: 1000 }), 15_000_000);
    assert.equal(cost({ output: 1000, reasoning: 400 }), 600 * 15_000 + 400 * 20_000);
    assert.equal(cost({ input: 1000, inputAudio: 100, inputImage: 200 }), 700 * 3000 + 100 * 40_000 + 200 * 5000);
    assert.equal(cost({ cachedInput: 1000, cachedInputAudio: 100 }), 900 * 300 + 100 * 2500);
    assert.equal(
      cost({ output: 1000, outputAudio: 100, outputImage: 200, reasoning: 300 }),
      400 * 15_000 + 100 * 80_000 + 200 * 30_000 + 300 * 20_000,
    );
  });

  it('adds billed calls at their fees, and the fee of the request to each call', () => {
    assert.equal(cost({ fees: { webSearch: 3 } }), 30_000_000);
    assert.equal(cost({ input: 1, fees: { fileSearch: 3 } }), 3000);
    assert.equal(costOf({ ...base, fees: { request: 5000 } }, none), 5000);
  });

  it('bills grounding by the prompt or by the search, as the price says', () => {
    const fees = { webSearch: 3, groundedPrompt: 1 };
    assert.equal(cost({ fees }), 30_000_000);
    assert.equal(costOf({ ...base, fees: { groundedPrompt: 35_000_000 } }, { ...none, fees }), 35_000_000);
  });

  it('multiplies tokens, not fees, by the way in which the call was served', () => {
    assert.equal(cost({ input: 1000, fees: { webSearch: 1 }, servings: ['priority'] }), 6_000_000 + 10_000_000);
    // Not in the book: the dearest of any model.
    assert.equal(cost({ input: 1000, servings: ['us'] }), 3_300_000);
    assert.equal(cost({ input: 1000, servings: ['priority', 'us'] }), 6_600_000);
  });

  it('bills a modality without a price at the dearest price of its direction', () => {
    const { inputAudio: _, ...silent } = rates;
    assert.equal(costOf({ ...base, rates: silent }, { ...none, input: 1000, inputAudio: 100 }), 900 * 3000 + 100 * 5000);
  });

  it('is what the provider itself says, where it says so', () => {
    assert.equal(cost({ input: 1000, namedCostNano: 5 }), 5);
    assert.equal(cost({ input: 1000, namedCostNano: 0 }), 0);
  });

  it('rounds up once, at the end', () => {
    const tiny = costOf({ ...base, rates: { ...rates, input: 1, output: 1 } }, { ...none, input: 1, output: 1 });
    assert.equal(tiny, 1);
    assert.equal(costOf({ ...base, rates: { ...rates, input: 500, output: 501 } }, { ...none, input: 1, output: 1 }), 2);
  });

  it('chooses the tier by all input tokens, and only strictly above its start', () => {
    assert.equal(cost({ input: 200_000 }), 600_000_000);
    assert.equal(cost({ input: 200_001 }), 200_001 * 6000);
    assert.equal(cost({ input: 100_000, cachedInput: 50_000, cacheWrite: 50_001 }), 100_000 * 6000 + 50_000 * 600 + 50_001 * 7500);
    assert.equal(cost({ output: 300_000 }), 300_000 * 15_000);
  });

  it('takes the highest tier that is reached', () => {
    const two: ModelPrice = {
      ...base,
      tiers: [
        { above: 10, rates: doubled },
        { above: 20, rates: { ...rates, input: 1_000_000 } },
      ],
    };
    assert.equal(costOf(two, { ...none, input: 20 }), 120_000);
    assert.equal(costOf(two, { ...none, input: 21 }), 21_000);
  });

  it('never gives money back for impossible figures', () => {
    // Azure reports more cached than prompt tokens for some models: the rest is then negative.
    assert.equal(cost({ input: -500, cachedInput: 1000 }), cost({ cachedInput: 1000 }));
    // Some providers count reasoning beside the output.
    assert.equal(cost({ output: 10, reasoning: 100 }), cost({ output: 100, reasoning: 100 }));
    assert.equal(cost({ cacheWrite: 0, cacheWrite1h: 100 }), cost({ cacheWrite: 100, cacheWrite1h: 100 }));
    assert.equal(cost({ input: 10, inputAudio: 100 }), cost({ input: 10, inputAudio: 10 }));
    assert.equal(cost({ output: 1, outputAudio: 5 }), cost({ output: 5, outputAudio: 5 }));
    assert.equal(cost({ fees: { webSearch: -1 } }), 0);
    const any = fc.integer({ min: -1000, max: 300_000 });
    const usage = fc.record({
      input: any,
      cachedInput: any,
      cacheWrite: any,
      output: any,
      reasoning: any,
      cacheWrite1h: any,
      inputAudio: any,
      inputImage: any,
      cachedInputAudio: any,
      outputAudio: any,
      outputImage: any,
    });
    fc.assert(
      fc.property(usage, (figures) => {
        const total = costOf(price, figures);
        assert.ok(Number.isSafeInteger(total) && total >= 0);
        assert.ok(total >= Math.max(0, figures.output) * 15_000 + Math.max(0, figures.cachedInput) * 300);
      }),
    );
  });

  it('is never cheaper with one token more of any class', () => {
    const some = fc.integer({ min: 0, max: 150_000 });
    const usage = fc.record({ input: some, cachedInput: some, cacheWrite: some, output: some, reasoning: some });
    fc.assert(
      fc.property(usage, fc.constantFrom('input', 'cachedInput', 'cacheWrite', 'output', 'reasoning'), (figures, name) => {
        assert.ok(costOf(price, { ...figures, [name]: figures[name] + 1 }) >= costOf(price, figures));
      }),
    );
  });

  it('throws rather than lose precision, also for what is not a number', () => {
    for (const output of [Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY, Number.NaN])
      assert.throws(() => cost({ output }), MoneyOverflow);
  });
});
