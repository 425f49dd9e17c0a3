import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Breach, breachOf } from './breach.ts';
import type { Demand } from './demand.ts';
import type { ModelPrice, Usage } from './types.ts';

const rates = { input: 1000, cachedInput: 1000, cacheWrite: 1000, cacheWrite1h: 1000, output: 1000, reasoning: 1000 };
const price: ModelPrice = { rates, tiers: [], fees: {}, percent: {}, contextTokens: 1000, maxOutputTokens: 100 };
const demand: Demand = {
  textTokens: 50,
  pictures: [],
  media: {},
  features: [],
  inputReads: 1,
  cacheWrite: 'none',
  choices: 1,
  extraOutputTokens: 0,
  outputs: [],
  anyOutput: false,
  fees: {},
  servings: [],
};
const usage: Usage = { input: 60, cachedInput: 0, cacheWrite: 0, output: 10, reasoning: 0 };

interface Case {
  readonly costNano: number;
  readonly demand?: Partial<Demand>;
  readonly usage?: Partial<Usage>;
  readonly price?: Partial<ModelPrice>;
}

function breach(bill: Case): Breach | null {
  return breachOf({
    price: { ...price, ...bill.price },
    demand: { ...demand, ...bill.demand },
    boundNano: 100,
    costNano: bill.costNano,
    usage: { ...usage, ...bill.usage },
  });
}

describe('a bill above its bound', () => {
  it('is none up to the bound itself', () => {
    assert.equal(breach({ costNano: 100 }), null);
  });

  it('says by how many percent, rounded up, and of which features', () => {
    assert.deepEqual(breach({ costNano: 101 }), { percent: 101, features: ['text'], possible: true });
    assert.equal(
      breach({ costNano: 150, demand: { features: ['tools'] }, price: { learned: { percent: { tools: 101 }, refused: [] } } })?.percent,
      152,
    );
    assert.deepEqual(breach({ costNano: 200, demand: { features: ['tools', 'image'] } })?.features, ['tools', 'image']);
  });

  it('counts from the bound without what earlier bills taught', () => {
    const learned = { percent: { tools: 200, image: 300 }, refused: [] };
    assert.equal(breach({ costNano: 110, demand: { features: ['tools'] }, price: { learned } })?.percent, 220);
  });

  it('is also input above the count, whatever it cost', () => {
    const counted = { features: ['counted' as const] };
    assert.equal(breach({ costNano: 1, demand: counted })?.percent, 120);
    assert.equal(breach({ costNano: 1, demand: counted, usage: { input: 50 } }), null);
    assert.equal(breach({ costNano: 1, demand: counted, usage: { input: 20, cachedInput: 20, cacheWrite: 20 } })?.percent, 120);
  });

  it('is no input above the count where the model reads more than was counted', () => {
    assert.equal(breach({ costNano: 1, demand: { features: ['counted'], inputReads: 2 } }), null);
    assert.equal(breach({ costNano: 1, demand: { features: ['counted'], stored: ['text'] } }), null);
  });

  it('is impossible if the input exceeds the context in every reading', () => {
    assert.equal(breach({ costNano: 200, usage: { input: 1001 } })?.possible, false);
    assert.equal(breach({ costNano: 200, usage: { input: 1000 } })?.possible, true);
    assert.equal(breach({ costNano: 200, usage: { input: 2000 }, demand: { inputReads: 2 } })?.possible, true);
  });

  it('is impossible if the output exceeds what all choices can be', () => {
    assert.equal(breach({ costNano: 200, usage: { output: 101 } })?.possible, false);
    assert.equal(breach({ costNano: 200, usage: { output: 200 }, demand: { choices: 2 } })?.possible, true);
    assert.equal(breach({ costNano: 200, usage: { output: 101 }, demand: { extraOutputTokens: 1 } })?.possible, true);
  });

  it('is possible if the limits of the model or the usage are unknown', () => {
    const { contextTokens: _, maxOutputTokens: __, ...unlimited } = price;
    const bill = { demand, boundNano: 100, costNano: 200 };
    assert.equal(breachOf({ ...bill, price: unlimited, usage: { ...usage, input: 1e9, output: 1e9 } })?.possible, true);
    assert.equal(breachOf({ ...bill, price, usage: null })?.possible, true);
  });

  it('counts as the largest percent where the bound was zero', () => {
    const bill = { price, demand, boundNano: 0, costNano: 1, usage };
    assert.equal(breachOf(bill)?.percent, Number.MAX_SAFE_INTEGER);
    assert.equal(breachOf({ ...bill, costNano: 0 }), null);
  });
});
