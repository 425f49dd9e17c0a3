import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { affordableOutput, upperBound } from './bound.ts';
import { costOf } from './cost.ts';
import { type Demand, type Overhead, withSearches } from './demand.ts';
import type { ModelPrice, Rates, Usage } from './types.ts';

const rate = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200_000_000 }));
const anyRates: fc.Arbitrary<Rates> = fc.record({
  input: rate,
  cachedInput: rate,
  cacheWrite: rate,
  cacheWrite1h: rate,
  output: rate,
  reasoning: rate,
  inputAudio: rate,
  cachedInputAudio: rate,
  inputImage: rate,
  outputAudio: rate,
  outputImage: rate,
});
const anyPrice: fc.Arbitrary<ModelPrice> = fc
  .record({
    rates: anyRates,
    tiers: fc.uniqueArray(fc.record({ above: fc.integer({ min: 0, max: 20_000 }), rates: anyRates }), {
      maxLength: 3,
      selector: (tier) => tier.above,
    }),
    webSearch: fc.nat(20_000_000),
    contextTokens: fc.nat(20_000),
  })
  .map((price) => ({ ...price, tiers: price.tiers.toSorted((a, b) => a.above - b.above) }));
const anyDemand: fc.Arbitrary<Demand> = fc.record({
  textTokens: fc.nat(10_000),
  mediaTokens: fc.oneof(fc.constant(0), fc.nat(5000)),
  images: fc.nat(3),
  audioInput: fc.boolean(),
  wholeContext: fc.boolean(),
  inputReads: fc.integer({ min: 0, max: 4 }),
  cacheWrite: fc.constantFrom('none', '5m', '1h'),
  choices: fc.integer({ min: 1, max: 8 }),
  audioOutput: fc.boolean(),
  imageOutput: fc.boolean(),
  webSearches: fc.nat(5),
});
const anyOverhead: fc.Arbitrary<Overhead> = fc.record({ fixedTokens: fc.nat(1000), tokensPerImage: fc.nat(3000) });
const outputTokens = fc.nat(20_000);

/** The share of its maximum that a figure of a usage has; often all of it. */
const share = fc.oneof(fc.constant(1), fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }));
const shares = fc.array(share, { minLength: 14, maxLength: 14 });

/** A usage that the demand allows, as extreme as the shares make it. */
function usageWithin(price: ModelPrice, demand: Demand, overhead: Overhead, limit: number, picks: readonly number[]): Usage {
  const left = [...picks];
  const of = (most: number): number => Math.floor(most * (left.shift() ?? 0));
  const counted = demand.textTokens + demand.mediaTokens + demand.images * overhead.tokensPerImage + overhead.fixedTokens;
  const once = demand.wholeContext ? Math.max(counted, price.contextTokens ?? 0) : counted;
  const total = of(once * Math.max(1, demand.inputReads));
  const cachedInput = of(total);
  const cacheWrite = of(total - cachedInput);
  const input = total - cachedInput - cacheWrite;
  const pictures = demand.images > 0 || demand.mediaTokens > 0 || demand.wholeContext;
  const output = demand.choices * limit;
  return {
    input,
    cachedInput,
    cacheWrite: of(cacheWrite),
    output: of(output),
    reasoning: of(output),
    cacheWrite1h: demand.cacheWrite === '1h' ? of(cacheWrite) : 0,
    inputAudio: demand.audioInput ? of(total) : 0,
    inputImage: pictures ? of(total) : 0,
    cachedInputAudio: demand.audioInput ? of(total) : 0,
    outputAudio: demand.audioOutput ? of(output / 2) : 0,
    outputImage: demand.imageOutput ? of(output / 2) : 0,
    webSearches: of(demand.webSearches ?? 0),
  };
}

const plain: Demand = {
  textTokens: 100,
  mediaTokens: 0,
  images: 0,
  audioInput: false,
  wholeContext: false,
  inputReads: 1,
  cacheWrite: 'none',
  choices: 1,
  audioOutput: false,
  imageOutput: false,
  webSearches: 0,
};
const noOverhead: Overhead = { fixedTokens: 0, tokensPerImage: 0 };
const flat: Rates = {
  input: 1000,
  cachedInput: 100,
  cacheWrite: 1000,
  cacheWrite1h: 2000,
  output: 4000,
  reasoning: 4000,
  inputAudio: 10_000,
  cachedInputAudio: 500,
  inputImage: 3000,
  outputAudio: 20_000,
  outputImage: 30_000,
};
const flatPrice: ModelPrice = { rates: flat, tiers: [], contextTokens: 5000, webSearch: 7 };
const bound = (demand: Partial<Demand>, price = flatPrice, limit = 10): ReturnType<typeof upperBound> =>
  upperBound(price, { ...plain, ...demand }, { fixedTokens: 20, tokensPerImage: 500 }, limit);

describe('upperBound', () => {
  it('is at least the cost of every usage that the demand allows', () => {
    fc.assert(
      fc.property(anyPrice, anyDemand, anyOverhead, outputTokens, shares, (price, demand, overhead, limit, picks) => {
        const most = upperBound(price, demand, overhead, limit);
        const usage = usageWithin(price, demand, overhead, limit, picks);
        assert.ok(typeof most === 'number' && costOf(price, usage) <= most, `${costOf(price, usage)} > ${JSON.stringify(most)}`);
      }),
      { numRuns: 2000 },
    );
  });

  it('never shrinks when any figure of the demand grows', () => {
    const more = fc.record({
      textTokens: fc.nat(10_000),
      mediaTokens: fc.nat(10_000),
      images: fc.nat(3),
      inputReads: fc.nat(3),
      choices: fc.nat(3),
      webSearches: fc.nat(3),
      audioInput: fc.boolean(),
      wholeContext: fc.boolean(),
      audioOutput: fc.boolean(),
      imageOutput: fc.boolean(),
      hour: fc.boolean(),
    });
    fc.assert(
      fc.property(anyPrice, anyDemand, anyOverhead, outputTokens, more, (price, demand, overhead, limit, add) => {
        const grown: Demand = {
          textTokens: demand.textTokens + add.textTokens,
          mediaTokens: demand.mediaTokens + add.mediaTokens,
          images: demand.images + add.images,
          inputReads: demand.inputReads + add.inputReads,
          choices: demand.choices + add.choices,
          webSearches: (demand.webSearches ?? 0) + add.webSearches,
          audioInput: demand.audioInput || add.audioInput,
          wholeContext: demand.wholeContext || add.wholeContext,
          audioOutput: demand.audioOutput || add.audioOutput,
          imageOutput: demand.imageOutput || add.imageOutput,
          cacheWrite: add.hour ? '1h' : demand.cacheWrite,
        };
        const less = upperBound(price, demand, overhead, limit);
        assert.ok(Number(upperBound(price, grown, overhead, limit)) >= Number(less));
        assert.ok(Number(upperBound(price, demand, overhead, limit + 1)) >= Number(less));
      }),
      { numRuns: 500 },
    );
  });

  it('adds input and overhead at the input rate and all choices at the output rate', () => {
    assert.equal(bound({}), 120 + 40);
    assert.equal(bound({ choices: 3 }), 120 + 120);
    assert.equal(bound({ inputReads: 2 }), 240 + 40);
    assert.equal(bound({ images: 2 }), 1120 * 3 + 40);
    assert.equal(bound({ mediaTokens: 50 }), 170 * 3 + 40);
    assert.equal(bound({ webSearches: 4 }), 160 + 28);
  });

  it('takes the dearer of output and reasoning, and audio and images where the request wants them', () => {
    assert.equal(bound({}, { ...flatPrice, rates: { ...flat, reasoning: 9000 } }), 120 + 90);
    assert.equal(bound({ audioInput: true }), 1200 + 40);
    assert.equal(bound({ audioOutput: true }), 120 + 200);
    assert.equal(bound({ imageOutput: true }), 120 + 300);
  });

  it('counts cache writes always, and one-hour writes where the request sets them', () => {
    const writes = { ...flatPrice, rates: { ...flat, cacheWrite: 1250 } };
    assert.equal(bound({}, writes), 150 + 40);
    assert.equal(bound({ cacheWrite: '5m' }, writes), 150 + 40);
    assert.equal(bound({ cacheWrite: '1h' }, writes), 240 + 40);
  });

  it('prices whole at a long-context tier that the input could reach, unless the base is dearer', () => {
    const double = Object.fromEntries(Object.entries(flat).map(([name, value]) => [name, value * 2])) as unknown as Rates;
    assert.equal(bound({}, { ...flatPrice, tiers: [{ above: 120, rates: double }] }), 160);
    assert.equal(bound({}, { ...flatPrice, tiers: [{ above: 119, rates: double }] }), 320);
    assert.equal(bound({}, { ...flatPrice, rates: double, tiers: [{ above: 119, rates: flat }] }), 320);
  });

  it('bounds content of unknown size by the context of the model', () => {
    assert.equal(bound({ wholeContext: true }), 5000 * 3 + 40);
    assert.equal(bound({ wholeContext: true, textTokens: 6000 }), 6020 * 3 + 40);
  });

  it('bounds open searches once a limit is set for them, and the results that each reading of the input may carry', () => {
    const open: Demand = { ...plain, searchTokens: 1000, openSearches: { tools: 2, maxReads: 4 } };
    assert.deepEqual(withSearches(open, 1), { ...plain, searchTokens: 1000, webSearches: 2, inputReads: 3 });
    assert.deepEqual(withSearches(open, 5), { ...plain, searchTokens: 1000, webSearches: 10, inputReads: 4 });
    const once = bound({ searchTokens: 1000 });
    assert.equal(typeof once === 'number' && once - Number(bound({})), 1000);
    assert.equal(withSearches(plain, 5), plain);
  });

  it('says why where there is no bound', () => {
    const { contextTokens: _, ...unknownContext } = flatPrice;
    const { webSearch: __, ...unknownSearch } = flatPrice;
    const reason = (found: ReturnType<typeof upperBound>): string => (typeof found === 'number' ? 'bounded' : found.reason);
    assert.equal(reason(bound({ unmeterable: 'background mode' })), 'background mode');
    assert.match(reason(bound({ wholeContext: true }, unknownContext)), /context size/);
    assert.match(reason(bound({ webSearches: null })), /no limit on web searches/);
    assert.match(reason(bound({ openSearches: { tools: 1, maxReads: 11 } })), /no limit on web searches/);
    assert.match(reason(bound({ webSearches: 1 }, unknownSearch)), /price of a web search/);
    assert.equal(bound({ webSearches: 0 }, unknownSearch), 160);
  });

  it('has no bound, rather than a wrong one, beyond the range of money or for what is not a number', () => {
    for (const figure of [Number.MAX_SAFE_INTEGER, 1e300, Number.POSITIVE_INFINITY, Number.NaN]) {
      for (const name of ['textTokens', 'mediaTokens', 'images', 'inputReads', 'choices', 'webSearches']) {
        assert.equal(typeof bound({ [name]: figure }), 'object', `${name} ${figure}`);
        assert.equal(
          affordableOutput(flatPrice, { ...plain, [name]: figure }, { fixedTokens: 1, tokensPerImage: 1000 }, 1e12),
          -1,
          `${name} ${figure}`,
        );
      }
    }
  });
});

describe('affordableOutput', () => {
  it('is the largest output limit whose upper bound fits', () => {
    fc.assert(
      fc.property(anyPrice, anyDemand, anyOverhead, fc.integer({ min: 0, max: 100_000_000_000 }), (price, demand, overhead, funds) => {
        const most = affordableOutput(price, demand, overhead, funds);
        if (most >= 0) assert.ok(Number(upperBound(price, demand, overhead, most)) <= funds);
        if (most < Number.MAX_SAFE_INTEGER) assert.ok(Number(upperBound(price, demand, overhead, most + 1)) > funds);
      }),
      { numRuns: 500 },
    );
  });

  it('is exact at the edges', () => {
    assert.equal(affordableOutput(flatPrice, plain, noOverhead, 99), -1);
    assert.equal(affordableOutput(flatPrice, plain, noOverhead, 100), 0);
    assert.equal(affordableOutput(flatPrice, plain, noOverhead, 103), 0);
    assert.equal(affordableOutput(flatPrice, plain, noOverhead, 104), 1);
    assert.equal(affordableOutput(flatPrice, { ...plain, choices: 2 }, noOverhead, 111), 1);
    assert.equal(affordableOutput(flatPrice, { ...plain, webSearches: 1 }, noOverhead, 106), -1);
    assert.equal(affordableOutput(flatPrice, { ...plain, unmeterable: 'no' }, noOverhead, 1e12), -1);
  });

  it('copes with funds beyond what a single call can cost, and with models whose output is free', () => {
    assert.ok(affordableOutput(flatPrice, plain, noOverhead, Number.MAX_SAFE_INTEGER) > 1e9);
    assert.equal(
      affordableOutput({ ...flatPrice, rates: { ...flat, output: 0, reasoning: 0 } }, plain, noOverhead, 100),
      Number.MAX_SAFE_INTEGER,
    );
  });
});
