import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { calcPrice, type Usage as SourceUsage } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { type ProviderKind, providerKinds } from '../../core/manifest/providers.ts';
import { findModel, modelNames } from '../../core/price/book.ts';
import { costOf } from '../../core/price/cost.ts';
import type { BookEntry, ModelPrice } from '../../core/price/types.ts';
import { bookOf } from './genai-prices.ts';

const atMs = Date.parse('2026-11-20T12:00:00Z');
const books = new Map(providerKinds.map((kind) => [kind, { models: [], book: bookOf(kind, atMs) }] as const));
const poolOf = (kind: ProviderKind): { readonly models: readonly []; readonly book: readonly BookEntry[] } =>
  books.get(kind) ?? { models: [], book: [] };

function priceOf(kind: ProviderKind, model: string): ModelPrice {
  const found = findModel(poolOf(kind), model);
  assert.ok(found, `${kind} ${model}`);
  return found.price;
}

/** The id in genai-prices of each provider with a single list. */
const oracleIds = {
  OpenAI: 'openai',
  Anthropic: 'anthropic',
  Gemini: 'google',
  Mistral: 'mistral',
  OpenRouter: 'openrouter',
  Bedrock: 'aws',
  AzureOpenAI: 'azure',
} as const;

interface Sample {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly cacheWrite1h: number;
  readonly output: number;
  readonly reasoning: number;
  readonly inputAudio: number;
  readonly outputAudio: number;
  readonly webSearches: number;
}

const tokens = fc.oneof(fc.nat(3000), fc.nat(300_000));
const sample: fc.Arbitrary<Sample> = fc
  .record({
    input: tokens,
    cachedInput: tokens,
    cacheWrite: tokens,
    output: tokens,
    webSearches: fc.nat(5),
    parts: fc.tuple(fc.nat(100), fc.nat(100), fc.nat(100), fc.nat(100)),
  })
  .map(({ parts: [write, reasoning, inputAudio, outputAudio], ...classes }) => ({
    ...classes,
    cacheWrite1h: Math.floor((classes.cacheWrite * write) / 100),
    reasoning: Math.floor((classes.output * reasoning) / 300),
    inputAudio: Math.floor((classes.input * inputAudio) / 100),
    outputAudio: Math.floor((classes.output * outputAudio) / 300),
  }));

type Has = (key: string) => boolean;

/** The same call in the library's terms, where input includes what was cached and written; only classes that it has a price for. */
function sourceUsage(usage: Sample, has: Has): SourceUsage {
  return {
    input_tokens: usage.input + usage.cachedInput + usage.cacheWrite,
    cache_read_tokens: usage.cachedInput,
    cache_write_tokens: usage.cacheWrite,
    output_tokens: usage.output,
    ...(has('cache_write_1h_mtok') ? { cache_write_1h_tokens: usage.cacheWrite1h } : {}),
    ...(has('output_reasoning_mtok') ? { output_reasoning_tokens: usage.reasoning } : {}),
    ...(has('input_audio_mtok') ? { input_audio_tokens: usage.inputAudio, cache_audio_read_tokens: 0 } : {}),
    ...(has('output_audio_mtok') ? { output_audio_tokens: usage.outputAudio } : {}),
    ...(has('web_searches_kcount') ? { web_searches: usage.webSearches } : {}),
  };
}

/** The call without what we deliberately bill differently: one-hour writes, output and searches without a rate, and cached images. */
function comparable(usage: Sample, has: Has): Sample {
  return {
    ...usage,
    ...(has('cache_write_1h_mtok') ? {} : { cacheWrite1h: 0 }),
    ...(has('output_mtok') ? {} : { output: 0, reasoning: 0, outputAudio: 0 }),
    ...(has('web_searches_kcount') ? {} : { webSearches: 0 }),
    ...(has('cache_image_read_mtok') ? { cachedInput: 0 } : {}),
  };
}

function pricedByLibrary(name: string, providerId: string): Has | null {
  const prices = calcPrice({ input_tokens: 0 }, name, { providerId, timestamp: new Date(atMs) })?.model_price ?? {};
  const has: Has = (key) => prices[key] !== undefined;
  return has('input_mtok') ? has : null;
}

function assertSame(kind: ProviderKind, name: string, providerId: string, usage: Sample, has: Has): void {
  const source = calcPrice(sourceUsage(usage, has), name, { providerId, timestamp: new Date(atMs) });
  const theirs = (source?.total_price ?? Number.NaN) * 1e9;
  const ours = costOf(priceOf(kind, name), usage);
  // Binary noise; and one rate of OpenRouter has no finite decimal form, so that we round each token up.
  const noise = theirs * 1e-12 + usage.cacheWrite * 0.001 + 1e-6;
  assert.ok(ours - theirs > -noise && ours - theirs < 1 + noise, `${name} ${JSON.stringify(usage)}: ${ours} against ${theirs}`);
}

describe('bookOf', () => {
  for (const [kind, providerId] of Object.entries(oracleIds) as [keyof typeof oracleIds, string][]) {
    it(`prices every ${kind} model as the library does, within one nano-dollar`, () => {
      let compared = 0;
      for (const [seed, name] of modelNames(poolOf(kind)).entries()) {
        const has = pricedByLibrary(name, providerId);
        if (has === null) continue;
        for (const usage of fc.sample(sample, { numRuns: 4, seed })) assertSame(kind, name, providerId, comparable(usage, has), has);
        compared += 1;
      }
      assert.ok(compared > 10);
    });
  }

  it('has integer rates for every class of every model, tiers in order', () => {
    const prices = [...books.values()].flatMap(({ book }) => book.flatMap(({ id, price }) => (price === null ? [] : [{ id, price }])));
    assert.ok(prices.length > 1000);
    for (const { id, price } of prices) {
      const starts = price.tiers.map((tier) => tier.above);
      assert.deepEqual(
        [...new Set(starts)].sort((a, b) => a - b),
        starts,
        id,
      );
      for (const rates of [price.rates, ...price.tiers.map((tier) => tier.rates)]) {
        assert.equal(Object.keys(rates).length, 11, id);
        assert.ok(
          Object.values(rates).every((rate) => Number.isSafeInteger(rate) && rate >= 0),
          id,
        );
      }
    }
  });

  it('is plain data that survives being sent', () => {
    assert.deepEqual(JSON.parse(JSON.stringify(poolOf('OpenAI').book)), poolOf('OpenAI').book);
  });

  it('knows the rates, tiers, output limit and context of well-known models', () => {
    const mini = priceOf('OpenAI', 'gpt-5.4-mini');
    assert.deepEqual(
      [mini.rates.input, mini.rates.cachedInput, mini.rates.output, mini.webSearch, mini.maxOutputTokens],
      [750_000, 75_000, 4_500_000, 10_000_000, 128_000],
    );
    const sonnet = priceOf('Anthropic', 'claude-sonnet-4-5-20250929');
    assert.deepEqual(
      [sonnet.rates.cacheWrite, sonnet.rates.cacheWrite1h, sonnet.rates.cachedInput, sonnet.maxOutputTokens],
      [3_750_000, 6_000_000, 300_000, 64_000],
    );
    const pro = priceOf('Gemini', 'gemini-2.5-pro');
    assert.deepEqual(
      pro.tiers.map((tier) => [tier.above, tier.rates.input, tier.rates.output]),
      [[200_000, 2_500_000, 15_000_000]],
    );
    assert.deepEqual([pro.maxOutputTokens, (pro.contextTokens ?? 0) >= 1_000_000], [65_535, true]);
    const sol = priceOf('OpenAI', 'gpt-5.6-sol');
    assert.equal(sol.rates.cacheWrite, (sol.rates.input * 5) / 4);
    assert.equal(priceOf('Gemini', 'gemini-2.5-flash').rates.inputAudio, 1_000_000);
    assert.equal(priceOf('Gemini', 'gemini-2.5-flash-image').rates.outputImage, 30_000_000);
  });

  it('knows what a web search costs where the provider has one price for it, also at models for which the data names none', () => {
    assert.deepEqual(
      [priceOf('OpenAI', 'gpt-5.3-codex').webSearch, priceOf('Anthropic', 'claude-sonnet-5').webSearch],
      [10_000_000, 10_000_000],
    );
  });

  it('takes the price in force at the time', () => {
    const input = (day: string): number | undefined =>
      bookOf('Gemini', Date.parse(day)).find(({ id }) => id === 'gemini-3.6-flash')?.price?.rates.input;
    assert.deepEqual([input('2026-11-20'), input('2026-12-31T23:59:59Z'), input('2027-01-01')], [750_000, 750_000, 1_500_000]);
    const o3 = (day: string): number | undefined => bookOf('OpenAI', Date.parse(day)).find(({ id }) => id === 'o3')?.price?.rates.input;
    assert.deepEqual([o3('2025-06-09'), o3('2025-06-10')], [10_000_000, 2_000_000]);
  });

  it('gives embeddings no price for output, and every other model one', () => {
    assert.equal(priceOf('OpenAI', 'text-embedding-3-small').rates.output, 0);
    assert.equal(priceOf('OpenAI', 'text-embedding-3-small').rates.input, 20_000);
    for (const { book } of books.values()) {
      for (const { id, price } of book)
        if (price !== null && price.rates.input > 0 && !id.includes('embed')) assert.ok(price.rates.output > 0, id);
    }
  });

  it('does not price what is billed by hours or pages, nor what has no price at all unless it is free by name', () => {
    for (const name of ['whisper-1', 'gpt-transcribe', 'moderation']) assert.equal(findModel(poolOf('OpenAI'), name), null, name);
    assert.equal(findModel(poolOf('Mistral'), 'mistral-ocr-latest'), null);
    assert.equal(priceOf('OpenRouter', 'deepseek/deepseek-r1:free').rates.output, 0);
  });

  it('offers what the provider offers: no Claude at the Gemini API, OpenAI’s models at Azure, nothing if nothing is known', () => {
    assert.equal(findModel(poolOf('Gemini'), 'claude-sonnet-4-5'), null);
    assert.ok(findModel(poolOf('Vertex'), 'claude-sonnet-4-5'));
    assert.ok(findModel(poolOf('AzureOpenAI'), 'gpt-5.4-mini'));
    assert.deepEqual(poolOf('OpenAICompatible').book, []);
  });
});
