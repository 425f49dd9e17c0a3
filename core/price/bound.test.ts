import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Bound, upperBound } from './bound.ts';
import { costOf } from './cost.ts';
import { type Demand, type Overhead, type PictureSize, withCalls, withCount } from './demand.ts';
import type { Feature, InputModality, ModelPrice, OutputModality, Rates, Serving, Usage } from './types.ts';

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
  inputVideo: rate,
  inputDocument: rate,
  outputAudio: rate,
  outputImage: rate,
});
const percent = fc.integer({ min: 10, max: 400 });

function affordableOutput(price: ModelPrice, demand: Demand, overhead: Overhead, fundsNano: number): number {
  const bound = Bound.of(price, demand, overhead);
  return bound instanceof Bound ? bound.affordable(fundsNano) : -1;
}

const anyPrice: fc.Arbitrary<ModelPrice> = fc
  .record({
    rates: anyRates,
    tiers: fc.uniqueArray(fc.record({ above: fc.integer({ min: 0, max: 20_000 }), rates: anyRates }), {
      maxLength: 3,
      selector: (tier) => tier.above,
    }),
    fees: fc.record({ webSearch: fc.nat(20_000_000), fileSearch: fc.nat(20_000_000), request: fc.nat(20_000_000) }),
    percent: fc.record({ flex: percent, priority: percent, fast: percent, us: percent }),
    contextTokens: fc.nat(20_000),
    maxOutputTokens: fc.nat(20_000),
  })
  .map((price) => ({ ...price, tiers: price.tiers.toSorted((a, b) => a.above - b.above) }));
const anyPicture: fc.Arbitrary<PictureSize> = fc.oneof(fc.constant(null), fc.record({ width: fc.nat(2000), height: fc.nat(2000) }));
const anyDemand: fc.Arbitrary<Demand> = fc
  .record({
    textTokens: fc.nat(10_000),
    pictures: fc.array(anyPicture, { maxLength: 3 }),
    media: fc.record({ audio: fc.nat(5000), video: fc.nat(5000), document: fc.nat(5000) }, { requiredKeys: [] }),
    features: fc.subarray<Feature>(['tools', 'structuredOutput', 'hostedTools']),
    stored: fc.option(fc.subarray<InputModality | 'text'>(['text', 'image', 'audio', 'video', 'document'], { minLength: 1 })),
    inputReads: fc.integer({ min: 1, max: 4 }),
    toolTokens: fc.option(fc.nat(5000)),
    cacheWrite: fc.constantFrom('none' as const, '5m' as const, '1h' as const),
    choices: fc.integer({ min: 1, max: 8 }),
    extraOutputTokens: fc.oneof(fc.constant(0), fc.nat(5000)),
    summaries: fc.nat(1),
    toolResults: fc.option(fc.nat(5)),
    outputs: fc.subarray<OutputModality>(['image', 'audio']),
    anyOutput: fc.boolean(),
    fees: fc.record({ webSearch: fc.nat(5), fileSearch: fc.nat(5) }, { requiredKeys: [] }),
    servings: fc.subarray<Serving>(['flex', 'priority', 'fast', 'us']),
  })
  .map(({ stored, toolTokens, toolResults, ...rest }) => ({
    ...rest,
    ...(stored ? { stored } : {}),
    ...(toolTokens === null ? {} : { toolTokens }),
    ...(toolResults === null ? {} : { toolResults }),
  }));
const anyOverhead: fc.Arbitrary<Overhead> = fc
  .record({ request: fc.nat(1000), tools: fc.nat(1000), hostedTools: fc.nat(1000) })
  .map((tokens) => ({ tokens, pictureTokens: (size) => (size === null ? 3000 : Math.ceil((size.width * size.height) / 2000)) }));
const outputTokens = fc.nat(20_000);

/** The share of its maximum that a figure of a usage has; often all of it. */
const share = fc.oneof(fc.constant(1), fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }));
const shares = fc.array(share, { minLength: 24, maxLength: 24 });

const overheadOf = (overhead: Overhead, demand: Demand): number =>
  ['request' as const, ...demand.features].reduce((sum, name) => sum + (overhead.tokens[name] ?? 0), 0);

/** A usage that the demand allows, as extreme as the shares make it. */
function usageWithin(price: ModelPrice, demand: Demand, overhead: Overhead, limit: number, picks: readonly number[]): Usage {
  const left = [...picks];
  const of = (most: number): number => Math.floor(most * (left.shift() ?? 0));
  const output = demand.choices * limit + demand.extraOutputTokens + (demand.summaries ?? 0) * (price.maxOutputTokens ?? 0);
  const inline = {
    text: of(demand.textTokens + overheadOf(overhead, demand)),
    image: of(demand.pictures.reduce((sum, size) => sum + overhead.pictureTokens(size), 0)),
    audio: of(demand.media.audio ?? 0),
    video: of(demand.media.video ?? 0),
    document: of(demand.media.document ?? 0),
  };
  const context = price.contextTokens ?? 0;
  for (const modality of demand.stored ?? []) {
    const now = Object.values(inline).reduce((sum, tokens) => sum + tokens, 0);
    inline[modality] += of(Math.max(0, context - now));
  }
  const first = Object.values(inline).reduce((sum, tokens) => sum + tokens, 0);
  // Each further reading: all of the first, what tools and answers added, within the context where that is what bounds it.
  const grown = (round: number): number =>
    demand.toolTokens === undefined
      ? Number.POSITIVE_INFINITY
      : first + Math.min(round, demand.toolResults ?? round) * demand.toolTokens + output;
  const readings = Array.from({ length: demand.inputReads - 1 }, (_, round) => Math.min(grown(round + 1), Math.max(first, context)));
  const further = readings.reduce((sum, tokens) => sum + of(tokens), 0);
  const total = first + further;
  const cachedInput = of(total - inline.audio - inline.image - inline.video - inline.document);
  const cacheWrite =
    demand.cacheWrite === 'none' ? 0 : of(total - inline.audio - inline.image - inline.video - inline.document - cachedInput);
  return {
    input: total - cachedInput - cacheWrite,
    cachedInput,
    cacheWrite,
    output: of(output),
    reasoning: of(output),
    cacheWrite1h: demand.cacheWrite === '1h' ? of(cacheWrite) : 0,
    inputAudio: inline.audio,
    inputImage: inline.image,
    inputVideo: inline.video,
    inputDocument: inline.document,
    outputAudio: demand.outputs.includes('audio') || demand.anyOutput ? of(output / 2) : 0,
    outputImage: demand.outputs.includes('image') || demand.anyOutput ? of(output / 2) : 0,
    fees: { webSearch: of(demand.fees.webSearch ?? 0), fileSearch: of(demand.fees.fileSearch ?? 0) },
    servings: demand.servings.filter(() => of(1) > 0),
  };
}

const plain: Demand = {
  textTokens: 100,
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
const noOverhead: Overhead = { tokens: {}, pictureTokens: () => 0 };
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
  inputVideo: 5000,
  inputDocument: 1000,
  outputAudio: 20_000,
  outputImage: 30_000,
};
const flatPrice: ModelPrice = { rates: flat, tiers: [], contextTokens: 5000, fees: { webSearch: 7 }, percent: { priority: 200, flex: 50 } };
const someOverhead: Overhead = { tokens: { request: 20, tools: 30 }, pictureTokens: (size) => (size === null ? 500 : 50) };
const bound = (demand: Partial<Demand>, price = flatPrice, limit = 10): ReturnType<typeof upperBound> =>
  upperBound(price, { ...plain, ...demand }, someOverhead, limit);
const reason = (found: ReturnType<typeof upperBound>): string => (typeof found === 'number' ? `bounded by ${found}` : found.reason);

describe('upperBound', () => {
  it('is at least the cost of every usage that the demand allows', () => {
    fc.assert(
      fc.property(anyPrice, anyDemand, anyOverhead, outputTokens, shares, (price, demand, overhead, limit, picks) => {
        const most = upperBound(price, demand, overhead, limit);
        const usage = usageWithin(price, demand, overhead, limit, picks);
        assert.ok(typeof most === 'number' && costOf(price, usage) <= most, `${costOf(price, usage)} > ${JSON.stringify(most)}`);
      }),
      { numRuns: 3000 },
    );
  });

  it('never shrinks when any figure of the demand grows', () => {
    const more = fc.record({
      textTokens: fc.nat(10_000),
      audio: fc.nat(10_000),
      pictures: fc.array(anyPicture, { maxLength: 2 }),
      inputReads: fc.nat(3),
      toolTokens: fc.nat(1000),
      choices: fc.nat(3),
      extraOutputTokens: fc.nat(1000),
      searches: fc.nat(3),
      anyOutput: fc.boolean(),
      hour: fc.boolean(),
      feature: fc.subarray<Feature>(['tools']),
      serving: fc.subarray<Serving>(['priority']),
    });
    fc.assert(
      fc.property(anyPrice, anyDemand, anyOverhead, outputTokens, more, (price, demand, overhead, limit, add) => {
        const grown: Demand = {
          ...demand,
          textTokens: demand.textTokens + add.textTokens,
          media: { ...demand.media, audio: (demand.media.audio ?? 0) + add.audio },
          pictures: [...demand.pictures, ...add.pictures],
          features: [...new Set([...demand.features, ...add.feature])],
          inputReads: demand.inputReads + add.inputReads,
          ...(demand.toolTokens === undefined ? {} : { toolTokens: demand.toolTokens + add.toolTokens }),
          choices: demand.choices + add.choices,
          extraOutputTokens: demand.extraOutputTokens + add.extraOutputTokens,
          fees: { ...demand.fees, webSearch: (demand.fees.webSearch ?? 0) + add.searches },
          anyOutput: demand.anyOutput || add.anyOutput,
          cacheWrite: add.hour ? '1h' : demand.cacheWrite,
          servings: [...new Set([...demand.servings, ...add.serving])],
        };
        const less = upperBound(price, demand, overhead, limit);
        assert.ok(Number(upperBound(price, grown, overhead, limit)) >= Number(less));
        assert.ok(Number(upperBound(price, demand, overhead, limit + 1)) >= Number(less));
      }),
      { numRuns: 500 },
    );
  });

  it('adds text and overhead at the input rate, and all choices at the output rate', () => {
    assert.equal(bound({}), 120 + 40);
    assert.equal(bound({ choices: 3 }), 120 + 120);
    assert.equal(bound({ extraOutputTokens: 5 }), 120 + 60);
    assert.equal(bound({ fees: { webSearch: 4 } }), 160 + 28);
  });

  it('adds a fixed overhead only for what the request has', () => {
    assert.equal(bound({ features: ['tools'] }), 150 + 40);
    assert.equal(bound({ features: ['structuredOutput'] }), 120 + 40);
  });

  it('bills each modality at its own rate, beside the text', () => {
    assert.equal(bound({ pictures: [null, { width: 9, height: 9 }] }), 120 + 550 * 3 + 40);
    assert.equal(bound({ media: { audio: 50, video: 10 } }), 120 + 500 + 50 + 40);
    // A cache may hold media too, and writes may be dearer.
    assert.equal(bound({ media: { document: 50 }, cacheWrite: '1h' }), 240 + 100 + 40);
  });

  it('takes the dearer of output and reasoning, and what the request asks for or leaves open', () => {
    assert.equal(bound({}, { ...flatPrice, rates: { ...flat, reasoning: 9000 } }), 120 + 90);
    assert.equal(bound({ outputs: ['audio'] }), 120 + 200);
    assert.equal(bound({ outputs: ['image'] }), 120 + 300);
    assert.equal(bound({ anyOutput: true }), 120 + 300);
  });

  it('counts cache writes of each lifetime where they can be billed', () => {
    const writes = { ...flatPrice, rates: { ...flat, cacheWrite: 1250 } };
    assert.equal(bound({}, writes), 120 + 40);
    assert.equal(bound({ cacheWrite: '5m' }, writes), 150 + 40);
    assert.equal(bound({ cacheWrite: '1h' }, writes), 240 + 40);
  });

  it('prices whole at a long-context tier that the input could reach, unless the base is dearer', () => {
    const double = Object.fromEntries(Object.entries(flat).map(([name, value]) => [name, value * 2])) as unknown as Rates;
    assert.equal(bound({}, { ...flatPrice, tiers: [{ above: 120, rates: double }] }), 160);
    assert.equal(bound({}, { ...flatPrice, tiers: [{ above: 119, rates: double }] }), 320);
    assert.equal(bound({}, { ...flatPrice, rates: double, tiers: [{ above: 119, rates: flat }] }), 320);
  });

  it('bounds content of unknown size by the context of the model, at the dearest that it may be', () => {
    assert.equal(bound({ stored: ['text'] }), 5000 + 40);
    assert.equal(bound({ stored: ['text', 'image'] }), 5000 * 3 + 40);
    assert.equal(bound({ stored: ['text'], textTokens: 6000 }), 6020 + 40);
  });

  it('bounds further readings by what tools may add, or by the context, whichever is less', () => {
    // 120, then 120 + 200 and the answer's 10.
    assert.equal(bound({ inputReads: 2, toolTokens: 200 }), 120 + 320 + 10 + 40);
    assert.equal(bound({ inputReads: 3, toolTokens: 200 }), 120 + 320 + 520 + 20 + 40);
    assert.equal(bound({ inputReads: 3, toolTokens: 200, toolResults: 1 }), 120 + 320 + 320 + 20 + 40);
    assert.equal(bound({ inputReads: 2, toolTokens: 9000 }), 120 + 5000 + 40);
    assert.equal(bound({ inputReads: 2 }), 120 + 5000 + 40);
    // Text alone is never bounded by the context.
    assert.equal(bound({ inputReads: 2, textTokens: 6000 }), 6020 * 2 + 40);
  });

  it('multiplies tokens by the dearest way of serving, and never by less than the standard', () => {
    assert.equal(bound({ servings: ['priority'], fees: { webSearch: 1 } }), 320 + 7);
    assert.equal(bound({ servings: ['flex'] }), 160);
    assert.equal(bound({ anyPlace: true }), 160);
    assert.equal(bound({ anyPlace: true, servings: ['priority'] }, { ...flatPrice, percent: { priority: 200, us: 110 } }), 352);
  });

  it('widens by what bills have taught about any feature of the request, and refuses what nobody can explain', () => {
    const learned = { percent: { tools: 150, text: 120 }, refused: ['audio' as const] };
    assert.equal(bound({}, { ...flatPrice, learned }), 192);
    assert.equal(bound({ features: ['tools', 'image'] }, { ...flatPrice, learned }), 285);
    assert.equal(bound({ features: ['image'] }, { ...flatPrice, learned }), 160);
    assert.match(reason(bound({ features: ['audio'] }, { ...flatPrice, learned })), /"audio".*acknowledged/);
  });

  it('reads once where the fee of a preview search pays for its results', () => {
    const more = { inputReads: 4, toolTokens: 1000 };
    const at = (demand: Partial<Demand>, overhead: Overhead): unknown => upperBound(flatPrice, { ...plain, ...demand }, overhead, 10);
    const free = { ...noOverhead, freePreviews: true } as const;
    assert.equal(at({ ...more, onlyPreviews: true }, free), at({}, noOverhead));
    assert.equal(at({ ...more, onlyPreviews: true }, noOverhead), at(more, noOverhead));
    assert.equal(at(more, free), at(more, noOverhead));
  });

  it('bounds open calls once a limit is set for them', () => {
    const open: Demand = { ...plain, toolTokens: 1000, openCalls: { fees: ['webSearch'], tools: 2, maxReads: 4 } };
    assert.deepEqual(withCalls(open, 1), { ...plain, toolTokens: 1000, fees: { webSearch: 2 }, inputReads: 3 });
    assert.deepEqual(withCalls(open, 5), { ...plain, toolTokens: 1000, fees: { webSearch: 10 }, inputReads: 4 });
    assert.equal(withCalls(plain, 5), plain);
  });

  it('is that of the counted tokens where the provider counted', () => {
    const demand: Demand = { ...plain, pictures: [null], media: { audio: 50 }, features: ['image', 'audio'] };
    assert.equal(bound(withCount(demand, 30)), 50 + 40);
    assert.deepEqual(withCount(demand, 30).features, ['image', 'audio', 'counted']);
  });

  it('adds a summary of the model’s own length where the provider may write one', () => {
    assert.equal(bound({ summaries: 1 }, { ...flatPrice, maxOutputTokens: 100 }), 120 + 440);
    assert.match(reason(bound({ summaries: 1 })), /summary/);
  });

  it('adds an answer’s length for each earlier thought that the request names, unless the provider counted', () => {
    const limited = { ...flatPrice, maxOutputTokens: 100 };
    assert.equal(bound({ thoughts: 2 }, limited), 120 + 200 + 40);
    assert.equal(bound(withCount({ ...plain, thoughts: 2 }, 30), limited), 50 + 40);
    assert.match(reason(bound({ thoughts: 1 })), /earlier thoughts/);
  });

  it('says why where there is no bound', () => {
    const { contextTokens: _, ...unknownContext } = flatPrice;
    const { inputAudio: __, outputImage: ___, ...fewRates } = flat;
    const unknown = { ...flatPrice, rates: fewRates, fees: {}, percent: {} };
    assert.equal(reason(bound({ unmeterable: 'background mode' })), 'background mode');
    assert.match(reason(bound({ stored: ['text'] }, unknownContext)), /context size/);
    assert.match(reason(bound({ inputReads: 2 }, unknownContext)), /context size/);
    assert.match(reason(bound({ fees: { webSearch: null } })), /no limit on web searches/);
    assert.match(reason(bound({ openCalls: { fees: ['webSearch'], tools: 1, maxReads: 11 } })), /no limit on calls of hosted tools/);
    assert.match(reason(bound({ fees: { webSearch: 1 } }, unknown)), /price of web searches is unknown/);
    assert.match(reason(bound({ media: { audio: 1 } }, unknown)), /price of audio input is unknown/);
    assert.match(reason(bound({ stored: ['audio'] }, unknown)), /price of audio input is unknown/);
    assert.match(reason(bound({ outputs: ['image'] }, unknown)), /price of image output is unknown/);
    assert.match(reason(bound({ servings: ['priority'] }, unknown)), /serving as "priority"/);
    assert.equal(bound({ fees: { webSearch: 0 } }, unknown), 160);
    assert.equal(bound({ anyOutput: true }, unknown), 120 + 200);
    assert.equal(bound({ fees: { webSearch: null } }, { ...flatPrice, fees: { webSearch: 0 } }), 160);
  });

  it('has no bound, rather than a wrong one, beyond the range of money or for what is not a number', () => {
    for (const figure of [Number.MAX_SAFE_INTEGER, 1e300, Number.POSITIVE_INFINITY, Number.NaN]) {
      for (const name of ['textTokens', 'inputReads', 'choices', 'extraOutputTokens']) {
        assert.equal(typeof bound({ [name]: figure }), 'object', `${name} ${figure}`);
        assert.equal(affordableOutput(flatPrice, { ...plain, [name]: figure }, someOverhead, 1e12), -1, `${name} ${figure}`);
      }
      assert.equal(typeof bound({ media: { audio: figure } }), 'object');
      assert.equal(typeof bound({ fees: { webSearch: figure } }), 'object');
    }
  });
});

describe('Bound.affordable', () => {
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
    assert.equal(affordableOutput(flatPrice, { ...plain, fees: { webSearch: 1 } }, noOverhead, 106), -1);
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
