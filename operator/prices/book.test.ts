import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { calcPrice, type Usage as SourceUsage } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { type ProviderKind, providerKinds } from '../../core/manifest/providers.ts';
import { findModel, modelNames, type PricedPool } from '../../core/price/book.ts';
import { costOf } from '../../core/price/cost.ts';
import type { ModelPrice } from '../../core/price/types.ts';
import { bookOf, settleBook } from './book.ts';
import { differences } from './compare.ts';
import { listedModels } from './listed.ts';

const atMs = Date.parse('2026-11-20T12:00:00Z');

function pricedPool(kind: ProviderKind, nowMs: number, isRegional = false): PricedPool {
  const models = listedModels(kind, nowMs);
  return { models: [], book: bookOf(models, settleBook(models, {}, nowMs), isRegional), learned: {} };
}

const books = new Map(providerKinds.map((kind) => [kind, pricedPool(kind, atMs)] as const));
const poolOf = (kind: ProviderKind): PricedPool => books.get(kind) ?? { models: [], book: [], learned: {} };

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
}

const tokens = fc.oneof(fc.nat(3000), fc.nat(300_000));
const sample: fc.Arbitrary<Sample> = fc
  .record({
    input: tokens,
    cachedInput: tokens,
    cacheWrite: tokens,
    output: tokens,
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
  };
}

/** The call without what we bill differently: one-hour writes, output and audio without a rate, and cached images. */
function comparable(usage: Sample, has: Has): Sample {
  return {
    ...usage,
    ...(has('cache_write_1h_mtok') ? {} : { cacheWrite1h: 0 }),
    ...(has('output_audio_mtok') ? {} : { outputAudio: 0 }),
    ...(has('output_mtok') ? {} : { output: 0, reasoning: 0, outputAudio: 0 }),
    ...(has('input_audio_mtok') ? {} : { inputAudio: 0 }),
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
  const price = priceOf(kind, name);
  const ours = costOf({ ...price, fees: {} }, usage);
  // Binary noise; and one rate of OpenRouter has no finite decimal form, so that we round each token up.
  const noise = theirs * 1e-12 + usage.cacheWrite * 0.001 + 1e-6;
  assert.ok(ours - theirs > -noise && ours - theirs < 1 + noise, `${name} ${JSON.stringify(usage)}: ${ours} against ${theirs}`);
}

/** Models of a kind on which the sources or a provider’s page differ, where the dearer price applies. */
function contested(kind: ProviderKind): ReadonlySet<string> {
  const corrected = listedModels(kind, atMs).filter(({ fact }) => Object.keys(fact.rates ?? {}).length > 0);
  return new Set([...differences([kind], atMs).map(({ model }) => model), ...corrected.map(({ id }) => id)]);
}

describe('bookOf', () => {
  for (const [kind, providerId] of Object.entries(oracleIds) as [keyof typeof oracleIds, string][]) {
    it(`prices every ${kind} model as the first source does, within one nano-dollar, if nothing contradicts it`, () => {
      let compared = 0;
      const differing = contested(kind);
      for (const [seed, name] of modelNames(poolOf(kind)).entries()) {
        const has = pricedByLibrary(name, providerId);
        if (has === null || differing.has(name)) continue;
        for (const usage of fc.sample(sample, { numRuns: 4, seed })) assertSame(kind, name, providerId, comparable(usage, has), has);
        compared += 1;
      }
      assert.ok(compared > 10);
    });
  }

  it('has integer rates for text of every model, tiers in order', () => {
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
        for (const name of ['input', 'cachedInput', 'cacheWrite', 'cacheWrite1h', 'output', 'reasoning'] as const)
          assert.ok(name in rates, id);
        assert.ok(
          Object.values(rates).every((rate) => Number.isSafeInteger(rate) && rate >= 0),
          id,
        );
      }
      assert.ok([...Object.values(price.fees), ...Object.values(price.percent)].every(Number.isSafeInteger), id);
    }
  });

  it('is plain data that survives being sent', () => {
    assert.deepEqual(JSON.parse(JSON.stringify(poolOf('OpenAI').book)), poolOf('OpenAI').book);
  });

  it('knows the rates, tiers, output limit and context of well-known models', () => {
    const mini = priceOf('OpenAI', 'gpt-5.4-mini');
    assert.deepEqual(
      [mini.rates.input, mini.rates.cachedInput, mini.rates.output, mini.maxOutputTokens],
      [750_000, 75_000, 4_500_000, 128_000],
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
    assert.equal(priceOf('OpenAI', 'gpt-6-sol').maxOutputTokens, 128_000);
  });

  it('takes the tier that only the second source names: Sonnet 4 beyond 200,000 tokens', () => {
    const sonnet = priceOf('Anthropic', 'claude-sonnet-4-20250514');
    assert.deepEqual(
      sonnet.tiers.map(({ above, rates }) => [above, rates.input, rates.output, rates.cachedInput]),
      [[200_000, 6_000_000, 22_500_000, 600_000]],
    );
    assert.equal(sonnet.contextTokens, 1_000_000);
  });

  it('has the standard context of Sonnet 4.5, whose long one is no longer sold, and keeps its dearer tier for prompts above it', () => {
    // "Claude Sonnet 4.5: Context window: 200K tokens" (platform.claude.com/docs/en/models/sonnet-4-5/overview).
    for (const name of ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929']) {
      const { contextTokens, tiers } = priceOf('Anthropic', name);
      assert.deepEqual([contextTokens, tiers.map(({ above, rates }) => [above, rates.input])], [200_000, [[200_000, 6_000_000]]]);
    }
  });

  it('prices pictures and documents as text at OpenAI and Anthropic, and audio never', () => {
    for (const [kind, name] of [
      ['OpenAI', 'gpt-4o'],
      ['OpenAI', 'gpt-5.4'],
      ['AzureOpenAI', 'gpt-4o'],
      ['Anthropic', 'claude-sonnet-4-5'],
    ] as const) {
      const { rates } = priceOf(kind, name);
      assert.deepEqual([rates.inputImage, rates.inputDocument], [rates.input, rates.input], name);
      assert.deepEqual(
        [rates.inputAudio, rates.inputVideo, rates.outputAudio, rates.outputImage],
        [undefined, undefined, undefined, undefined],
        name,
      );
    }
  });

  it('prices Gemini’s input by modality: audio apart, unless the page has one price for all', () => {
    const flash = priceOf('Gemini', 'gemini-2.5-flash').rates;
    assert.deepEqual(
      [flash.input, flash.inputImage, flash.inputVideo, flash.inputDocument, flash.inputAudio, flash.cachedInputAudio],
      [300_000, 300_000, 300_000, 300_000, 1_000_000, 100_000],
    );
    const pro = priceOf('Gemini', 'gemini-2.5-pro').rates;
    assert.deepEqual([pro.inputAudio, pro.cachedInputAudio], [pro.input, pro.cachedInput]);
    assert.equal(priceOf('Gemini', 'gemini-2.5-flash-image').rates.inputAudio, undefined);
    assert.equal(priceOf('Gemini', 'gemini-2.5-flash-image').rates.outputImage, 30_000_000);
    assert.equal(priceOf('Gemini', 'gemini-2.5-pro-preview-tts').rates.outputAudio, 20_000_000);
    const embedding = priceOf('Gemini', 'gemini-embedding-2').rates;
    assert.deepEqual(
      [embedding.input, embedding.inputImage, embedding.inputAudio, embedding.inputVideo, embedding.inputDocument, embedding.output],
      [200_000, 450_000, 6_500_000, 12_000_000, undefined, 0],
    );
    assert.deepEqual(
      [priceOf('Gemini', 'gemini-embedding-001').rates.inputImage, priceOf('Gemini', 'gemini-embedding-001').rates.output],
      [undefined, 0],
    );
  });

  it('knows the audio of the preview models, dated snapshots included, but not of the one whose price was another', () => {
    for (const [name, input, output] of [
      ['gpt-4o-audio-preview', 40, 80],
      ['gpt-4o-audio-preview-2025-06-03', 40, 80],
      ['gpt-4o-mini-audio-preview-2024-12-17', 10, 20],
      ['gpt-audio', 32, 64],
    ] as const) {
      const { rates } = priceOf('OpenAI', name);
      assert.deepEqual([rates.inputAudio, rates.outputAudio], [input * 1e6, output * 1e6], name);
    }
    assert.equal(findModel(poolOf('OpenAI'), 'gpt-4o-audio-preview-2024-10-01'), null);
  });

  it('knows fees by tool and model', () => {
    const fees = (kind: ProviderKind, name: string): unknown => {
      const { request, webSearch, webSearchPreview, groundedPrompt, fileSearch, container } = priceOf(kind, name).fees;
      return [request, webSearch, webSearchPreview, groundedPrompt, fileSearch, container]
        .map((nano) => (nano === undefined ? '-' : nano / 1e6))
        .join(' ');
    };
    assert.equal(fees('OpenAI', 'gpt-4o'), '- 10 25 - 2.5 30');
    assert.equal(fees('OpenAI', 'gpt-4.1-mini'), '- 10 25 - 2.5 30');
    assert.equal(fees('OpenAI', 'gpt-5.3-codex'), '- 10 10 - 2.5 30');
    assert.equal(fees('OpenAI', 'o4-mini'), '- 10 10 - 2.5 30');
    assert.equal(fees('AzureOpenAI', 'gpt-4o'), '- - - - - 33');
    assert.equal(fees('Anthropic', 'claude-sonnet-5'), '- 10 - - - 50');
    assert.equal(fees('Gemini', 'gemini-2.5-flash'), '- - - 35 - 0');
    assert.equal(fees('Gemini', 'gemini-3-flash-preview'), '- 14 - - - 0');
    assert.equal(fees('OpenRouter', 'perplexity/sonar'), '12 - - - - -');
    assert.equal(fees('OpenRouter', 'perplexity/sonar-pro'), '14 - - - - -');
  });

  it('takes a price that the lists have too low from a third table, in snapshots and variants too', () => {
    assert.deepEqual(
      [priceOf('AzureOpenAI', 'gpt-4-turbo').rates.input, priceOf('OpenAI', 'gpt-4-turbo').rates.input],
      [11_000_000, 10_000_000],
    );
    assert.equal(priceOf('AzureOpenAI', 'gpt-audio-2025-08-28').rates.inputAudio, 40_000_000);
    assert.equal(priceOf('AzureOpenAI', 'text-embedding-3-large').rates.input, 143_000);
    for (const name of ['gemini-3.8-flash-tts', 'gemini-3.8-flash-lite-tts']) {
      const { rates } = priceOf('Gemini', name);
      assert.deepEqual([rates.output, rates.outputAudio, rates.inputImage], [9_000_000, 9_000_000, undefined], name);
    }
    assert.deepEqual(
      ['gemini-3.8-flash', 'gemini-3.8-flash-001', 'gemini-3.8-flash-image'].map(
        (name) => findModel(poolOf('Gemini'), name)?.price.rates.output,
      ),
      [3_750_000, 3_750_000, undefined],
    );
    assert.equal(priceOf('Mistral', 'magistral-medium-latest').rates.output, 7_500_000);
  });

  it('charges the search of a search model with each request, dated snapshots included', () => {
    for (const [kind, name, dollars] of [
      ['OpenAI', 'gpt-4o-search-preview', 35],
      ['OpenAI', 'gpt-4o-search-preview-2025-03-11', 35],
      ['OpenAI', 'gpt-4o-mini-search-preview', 30],
      ['OpenAI', 'gpt-4o-mini-search-preview-2025-03-11', 30],
      ['OpenRouter', 'openai/gpt-4o-mini-search-preview', 30],
    ] as const) {
      assert.equal(priceOf(kind, name).fees.request, dollars * 1e6, name);
    }
    assert.deepEqual(
      [priceOf('OpenAI', 'gpt-4o-mini').fees.request, priceOf('OpenAI', 'gpt-4o-mini-2024-07-18').fees.request],
      [undefined, undefined],
    );
    for (const name of ['perplexity/sonar-deep-research', 'openai/o4-mini-deep-research']) {
      assert.equal(findModel(poolOf('OpenRouter'), name), null, name);
    }
  });

  it('knows ways of serving by model, and none that has no price', () => {
    const percent = (kind: ProviderKind, name: string): unknown => priceOf(kind, name).percent;
    assert.deepEqual(percent('OpenAI', 'gpt-5.4'), { priority: 200, flex: 52 });
    assert.deepEqual(percent('OpenAI', 'gpt-5.5'), { priority: 250, flex: 50 });
    assert.deepEqual(percent('OpenAI', 'gpt-5-mini-2025-08-07'), { priority: 180, flex: 50 });
    assert.deepEqual(percent('OpenAI', 'o3'), { priority: 175, flex: 50 });
    assert.deepEqual(percent('OpenAI', 'gpt-4-turbo'), {});
    assert.deepEqual(percent('AzureOpenAI', 'gpt-5.4'), {});
    assert.deepEqual(percent('Anthropic', 'claude-opus-4-6'), { us: 110, fast: 600 });
    assert.deepEqual(percent('Anthropic', 'claude-opus-5'), { us: 110, fast: 200 });
    assert.deepEqual(percent('Anthropic', 'claude-sonnet-4-6'), { us: 110 });
    assert.deepEqual(percent('Anthropic', 'claude-sonnet-4-5'), {});
    assert.deepEqual(percent('Gemini', 'gemini-2.5-flash'), { flex: 100, priority: 180 });
    assert.deepEqual(percent('Gemini', 'gemini-3.8-flash'), { flex: 50, priority: 180 });
  });

  it('adds 10 % at OpenAI’s regional hosts, for models since March 2026 and for those it does not know', () => {
    const regional = pricedPool('OpenAI', atMs, true);
    const at = (pool: PricedPool, name: string): readonly unknown[] => {
      const { rates, tiers, fees } = findModel(pool, name)?.price ?? assert.fail(name);
      return [rates.input, rates.inputImage, rates.output, tiers[0]?.rates.input, fees.webSearch];
    };
    assert.deepEqual(at(regional, 'gpt-5.4'), [2_750_000, 2_750_000, 16_500_000, 5_500_000, 11_000_000]);
    assert.deepEqual(at(regional, 'gpt-5.4-mini-2026-03-17').slice(0, 1), [825_000]);
    for (const name of ['gpt-4o', 'gpt-5', 'gpt-5.2-codex', 'o3']) assert.deepEqual(at(regional, name), at(poolOf('OpenAI'), name), name);
  });

  it('knows which models reason without being asked', () => {
    const reasons = (kind: ProviderKind, name: string): boolean => priceOf(kind, name).reasonsByDefault === true;
    for (const [kind, name] of [
      ['OpenAI', 'o3'],
      ['OpenAI', 'gpt-5'],
      ['OpenAI', 'gpt-5-mini'],
      ['OpenAI', 'gpt-5.1-codex'],
      ['OpenAI', 'gpt-6-sol'],
      ['AzureOpenAI', 'gpt-5'],
      ['Anthropic', 'claude-opus-5'],
      ['Gemini', 'gemini-2.5-pro'],
      ['Gemini', 'gemini-2.5-flash'],
      ['Gemini', 'gemini-3.1-pro-preview'],
      ['Mistral', 'magistral-medium'],
      ['OpenRouter', 'deepseek/deepseek-r1'],
      ['OpenRouter', 'openai/gpt-5'],
      ['OpenRouter', 'qwen/qwq-32b'],
    ] as const) {
      assert.equal(reasons(kind, name), true, name);
    }
    for (const [kind, name] of [
      ['OpenAI', 'gpt-4o'],
      ['OpenAI', 'gpt-5-chat-latest'],
      ['OpenAI', 'gpt-5.1'],
      ['OpenAI', 'gpt-5.4-mini'],
      ['Anthropic', 'claude-sonnet-4-6'],
      ['Gemini', 'gemini-2.5-flash-lite'],
      ['Gemini', 'gemini-2.5-flash-image'],
      ['Mistral', 'mistral-large-latest'],
      ['OpenRouter', 'anthropic/claude-sonnet-4.5'],
    ] as const) {
      assert.equal(reasons(kind, name), false, name);
    }
  });

  it('takes the price of OpenRouter’s models from OpenRouter’s list, and their pictures from the vendor’s rule', () => {
    const { rates } = priceOf('OpenRouter', 'google/gemini-2.5-flash');
    assert.deepEqual([rates.inputImage, rates.inputVideo, rates.inputDocument, rates.inputAudio], [300_000, 300_000, undefined, undefined]);
    assert.equal(priceOf('OpenRouter', 'deepseek/deepseek-r1').rates.inputImage, undefined);
    assert.ok(listedModels('OpenRouter', atMs).every(({ second }) => second === undefined));
  });

  it('takes the price in force at the time', () => {
    const input = (kind: ProviderKind, name: string, day: string): number | undefined =>
      findModel(pricedPool(kind, Date.parse(day)), name)?.price.rates.input;
    assert.deepEqual(
      ['2026-11-20', '2026-12-31T23:59:59Z', '2027-01-01'].map((day) => input('Gemini', 'gemini-3.6-flash', day)),
      [750_000, 750_000, 1_500_000],
    );
    assert.deepEqual(
      ['2025-06-09', '2025-06-10'].map((day) => input('OpenAI', 'o3', day)),
      [10_000_000, 2_000_000],
    );
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
