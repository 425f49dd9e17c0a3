import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PoolModel } from '../manifest/types.ts';
import { findModel, modelNames, type PricedPool } from './book.ts';
import type { BookEntry, ModelPrice, Rates } from './types.ts';

const rates: Rates = {
  input: 3000,
  cachedInput: 300,
  cacheWrite: 3750,
  cacheWrite1h: 6000,
  output: 15_000,
  reasoning: 15_000,
  inputAudio: 40_000,
  cachedInputAudio: 300,
  inputImage: 3000,
  outputAudio: 80_000,
  outputImage: 15_000,
};
const price: ModelPrice = { rates, tiers: [], fees: { webSearch: 10 }, percent: {}, maxOutputTokens: 64_000, contextTokens: 200_000 };
const long: ModelPrice = { ...price, tiers: [{ above: 200_000, rates: { ...rates, input: 6000, output: 22_500 } }] };
const book: readonly BookEntry[] = [
  { id: 'gpt-4o', match: { or: [{ equals: 'gpt-4o' }, { equals: 'gpt-4o-2024-05-13' }] }, price },
  { id: 'whisper', match: { startsWith: 'gpt-4o-by-the-hour' }, price: null },
  { id: 'gpt-4-family', match: { startsWith: 'gpt-4' }, price: long },
  { id: 'regional.thing', match: { endsWith: '.thing-v1' }, price },
];

function pool(...models: readonly PoolModel[]): PricedPool {
  return { models, book, learned: {} };
}

describe('findModel', () => {
  it('finds a book model under the requested name, first match first', () => {
    assert.deepEqual(findModel(pool(), 'gpt-4o'), { upstreamName: 'gpt-4o', price, bookId: 'gpt-4o' });
    assert.deepEqual(findModel(pool(), 'GPT-4o'), { upstreamName: 'GPT-4o', price, bookId: 'gpt-4o' });
    assert.equal(findModel(pool(), 'gpt-4-turbo')?.price, long);
  });

  it('reads a dated snapshot in either spelling', () => {
    assert.equal(findModel(pool(), 'gpt-4o-20240513')?.price, long);
    const dated: PricedPool = { models: [], learned: {}, book: [{ id: 'o9', match: { equals: 'o9-2026-01-31' }, price }] };
    assert.equal(findModel(dated, 'o9-20260131')?.price, price);
    assert.equal(findModel(dated, 'o9-20261331'), null);
  });

  it('gives null for what nothing prices', () => {
    assert.equal(findModel(pool(), 'claude'), null);
    assert.equal(findModel(pool(), ''), null);
    assert.equal(findModel(pool({ name: 'mine', upstreamName: 'stranger' }), 'mine'), null);
    assert.equal(findModel(pool({ name: 'mine', upstreamName: 'stranger', maxOutputTokens: 5 }), 'mine'), null);
  });

  it('does not let a broader entry price a model that the book knows to be billed otherwise', () => {
    assert.equal(findModel(pool(), 'gpt-4o-by-the-hour-2'), null);
  });

  it('keeps the book’s price of the upstream name under an override without a price', () => {
    const named = pool({ name: 'fast', upstreamName: 'gpt-4o' }, { name: 'gpt-4o', upstreamName: 'gpt-4o', maxOutputTokens: 100 });
    assert.deepEqual(findModel(named, 'fast'), { upstreamName: 'gpt-4o', price, bookId: 'gpt-4o' });
    assert.deepEqual(findModel(named, 'gpt-4o'), { upstreamName: 'gpt-4o', price: { ...price, maxOutputTokens: 100 }, bookId: 'gpt-4o' });
  });

  it('takes what a priced override does not name from the book, letting rates that were equal stay equal', () => {
    const found = findModel(pool({ name: 'gpt-4o', upstreamName: 'gpt-4o', price: { input: 2000, output: 10_000 } }), 'gpt-4o');
    assert.deepEqual(found?.price, {
      ...price,
      rates: { ...rates, input: 2000, inputImage: 2000, output: 10_000, reasoning: 10_000, outputImage: 10_000 },
    });
  });

  it('takes every rate that a priced override names', () => {
    const named = { input: 1, output: 2, cachedInput: 3, cacheWrite: 4, reasoning: 5 };
    const found = findModel(pool({ name: 'gpt-4o', upstreamName: 'gpt-4o', maxOutputTokens: 9, price: named }), 'gpt-4o');
    assert.deepEqual({ ...found?.price.rates, ...named }, found?.price.rates);
    assert.equal(found?.price.maxOutputTokens, 9);
    assert.equal(found?.price.rates.cacheWrite1h, 6000);
  });

  it('never lets an override make a cache write cheaper than the input, nor a long-context tier than the base', () => {
    const dear = { input: 50_000, output: 70_000 };
    const found = findModel(pool({ name: 'gpt-4-turbo', upstreamName: 'gpt-4-turbo', price: dear }), 'gpt-4-turbo');
    assert.equal(found?.price.rates.cacheWrite, 50_000);
    assert.equal(found?.price.rates.cacheWrite1h, 50_000);
    assert.deepEqual(
      found?.price.tiers.map((tier) => [tier.above, tier.rates.input, tier.rates.output]),
      [[200_000, 50_000, 70_000]],
    );
  });

  it('keeps the book’s long-context tier over a cheaper override', () => {
    const found = findModel(pool({ name: 'gpt-4-turbo', upstreamName: 'gpt-4-turbo', price: { input: 1, output: 1 } }), 'gpt-4-turbo');
    assert.deepEqual(
      found?.price.tiers.map((tier) => [tier.rates.input, tier.rates.output]),
      [[6000, 22_500]],
    );
  });

  it('fills a model that the book does not know with the dearest that could apply', () => {
    const found = findModel(pool({ name: 'own', upstreamName: 'own', price: { input: 1001, output: 4000 } }), 'own');
    assert.deepEqual(found, {
      upstreamName: 'own',
      price: {
        rates: {
          input: 1001,
          cachedInput: 1001,
          cacheWrite: 1252,
          cacheWrite1h: 2002,
          output: 4000,
          reasoning: 4000,
          inputImage: 1001,
          inputVideo: 1001,
          inputDocument: 1001,
        },
        tiers: [],
        fees: {},
        percent: {},
      },
    });
  });

  it('knows the media, the fees and the context that a pool names', () => {
    const named = { input: 1, output: 2, inputAudio: 3, outputImage: 4 };
    const found = findModel(pool({ name: 'own', upstreamName: 'own', contextTokens: 9, price: named, fees: { webSearch: 5 } }), 'own');
    assert.deepEqual({ ...found?.price.rates, ...named, cachedInputAudio: 3 }, found?.price.rates);
    assert.deepEqual(found?.price.fees, { webSearch: 5 });
    assert.equal(found?.price.contextTokens, 9);
    const booked = findModel(pool({ name: 'gpt-4o', upstreamName: 'gpt-4o', fees: { fileSearch: 6 } }), 'gpt-4o');
    assert.deepEqual(booked?.price.fees, { webSearch: 10, fileSearch: 6 });
  });

  it('gives a model what bills have taught about it, under its upstream name', () => {
    const learned = { 'gpt-4o': { percent: { tools: 130 }, refused: [] } };
    const taught: PricedPool = { models: [{ name: 'fast', upstreamName: 'gpt-4o' }], book, learned };
    assert.deepEqual(findModel(taught, 'fast')?.price.learned, learned['gpt-4o']);
    assert.equal(findModel(taught, 'gpt-4-turbo')?.price.learned, undefined);
  });

  it('answers a repeated name from memory, and looks it up again in another document', () => {
    const first = pool();
    assert.equal(findModel(first, 'gpt-4o'), findModel(first, 'gpt-4o'));
    const dearer = pool({ name: 'gpt-4o', upstreamName: 'gpt-4o', price: { input: 9000, output: 1 } });
    assert.equal(findModel(dearer, 'gpt-4o')?.price.rates.input, 9000);
  });

  it('survives endless and enormous names', () => {
    const attacked = pool();
    for (let i = 0; i < 5000; i += 1) assert.equal(findModel(attacked, `nonsense-${i}`), null);
    assert.equal(findModel(attacked, `gpt-4${'x'.repeat(1_000_000)}`), null);
    assert.equal(findModel(attacked, 'gpt-4o')?.price, price);
  });
});

describe('modelNames', () => {
  it('lists the pool’s own models, then the ids of the book that can be called by that name', () => {
    const named = pool(
      { name: 'fast', upstreamName: 'gpt-4o' },
      { name: 'gpt-4o', upstreamName: 'gpt-4o' },
      { name: 'unpriced', upstreamName: 'x' },
    );
    assert.deepEqual(modelNames(named), ['fast', 'gpt-4o', 'gpt-4-family']);
    assert.equal(modelNames(named), modelNames(named));
  });

  it('leaves out ids of the book that no provider answers to: families, and beginnings of names', () => {
    const ids = ['ft:gpt-3.5-turbo-', 'gpt-4o-mini-2024-07-18.ft-', 'computer-use', 'codex-mini', 'ada', 'gpt-4o'];
    const book = ids.map((id) => ({ id, match: { startsWith: id }, price }));
    assert.deepEqual(modelNames({ models: [], book, learned: {} }), ['gpt-4o']);
  });

  it('leaves out names that only an aggregator has, in its own list or not', () => {
    const good = ['openai/gpt-4o:extended', 'anthropic.claude-sonnet-4-5-v1:0', 'gemini-1.5-pro'];
    const ids = ['gpt-4o:extended', 'devstral-small:free', 'gemini-flash-1.5', 'gemini-pro-1.5', ...good];
    const book = ids.map((id) => ({ id, match: { equals: id }, price }));
    assert.deepEqual(modelNames({ models: [], book, learned: {} }), good);
  });
});
