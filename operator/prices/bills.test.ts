import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ProviderKind } from '../../core/manifest/providers.ts';
import { findModel } from '../../core/price/book.ts';
import { upperBound } from '../../core/price/bound.ts';
import { costOf } from '../../core/price/cost.ts';
import type { Demand, Overhead } from '../../core/price/demand.ts';
import type { ModelPrice, Usage } from '../../core/price/types.ts';
import { bookOf, settleBook } from './book.ts';
import { listedModels } from './listed.ts';

const atMs = Date.parse('2026-11-27');
const overhead: Overhead = { tokens: {}, pictureTokens: () => 1000 };
const nothing: Demand = {
  textTokens: 0,
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
const unused: Usage = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 };

function priceOf(kind: ProviderKind, model: string, isRegional = false): ModelPrice {
  const models = listedModels(kind, atMs);
  const found = findModel({ models: [], book: bookOf(models, settleBook(models, {}, atMs), isRegional), learned: {} }, model);
  return found?.price ?? assert.fail(model);
}

/** A call and what the provider bills for it. */
interface Bill {
  readonly name: string;
  readonly price: ModelPrice;
  readonly demand: Partial<Demand>;
  readonly outputTokens?: number;
  readonly usage: Partial<Usage>;
  readonly dollars: number;
}

const million = 1_000_000;
const bills: readonly Bill[] = [
  {
    name: 'twenty previews of a search at a model that does not reason, $25 per 1,000',
    price: priceOf('OpenAI', 'gpt-4.1'),
    demand: { fees: { webSearchPreview: 20 } },
    usage: { fees: { webSearchPreview: 20 } },
    dollars: 0.5,
  },
  {
    name: 'twenty previews of a search at a model that reasons, $10 per 1,000',
    price: priceOf('OpenAI', 'o3'),
    demand: { fees: { webSearchPreview: 20 } },
    usage: { fees: { webSearchPreview: 20 } },
    dollars: 0.2,
  },
  {
    name: 'a call of a dated search model, which searches unasked',
    price: priceOf('OpenAI', 'gpt-4o-mini-search-preview-2025-03-11'),
    demand: {},
    usage: {},
    dollars: 0.03,
  },
  {
    name: 'audio in and out of a preview model, $40 and $80',
    price: priceOf('OpenAI', 'gpt-4o-audio-preview'),
    demand: { media: { audio: million / 10 }, outputs: ['audio'] },
    outputTokens: 1000,
    usage: { input: million / 10, inputAudio: million / 10, output: 1000, outputAudio: 1000 },
    dollars: 4.08,
  },
  {
    name: 'audio of an embedding, $6.50, and its video, $12',
    price: priceOf('Gemini', 'gemini-embedding-2'),
    demand: { media: { audio: million, video: million } },
    usage: { input: 2 * million, inputAudio: million, inputVideo: million },
    dollars: 18.5,
  },
  {
    name: 'a request of Perplexity’s Sonar, with the largest search context',
    price: priceOf('OpenRouter', 'perplexity/sonar'),
    demand: { textTokens: 1000 },
    usage: { input: 1000 },
    dollars: 0.013,
  },
  {
    name: 'a picture that a model of OpenRouter draws unasked, $40',
    price: priceOf('OpenRouter', 'openai/gpt-5-image'),
    demand: { anyOutput: true },
    outputTokens: 1000,
    usage: { output: 1000, outputImage: 1000 },
    dollars: 0.04,
  },
  {
    name: 'a regional host of OpenAI, 10 % more',
    price: priceOf('OpenAI', 'gpt-5.4-mini', true),
    demand: { textTokens: million / 10 },
    usage: { input: million / 10 },
    dollars: 0.0825,
  },
  {
    name: 'Anthropic’s inference in the US, 10 % more',
    price: priceOf('Anthropic', 'claude-sonnet-4-6'),
    demand: { textTokens: million / 10, servings: ['us'] },
    usage: { input: million / 10, servings: ['us'] },
    dollars: 0.33,
  },
  {
    name: 'priority processing',
    price: priceOf('OpenAI', 'gpt-5.5'),
    demand: { textTokens: million / 10, servings: ['priority'] },
    usage: { input: million / 10, servings: ['priority'] },
    dollars: 1.25,
  },
  {
    name: 'flex processing, charged at half though the bound is the standard price',
    price: priceOf('OpenAI', 'gpt-5.5'),
    demand: { textTokens: million / 10, servings: ['flex'] },
    usage: { input: million / 10, servings: ['flex'] },
    dollars: 0.25,
  },
  {
    name: 'a grounded prompt of Gemini 2.5, with any number of searches',
    price: priceOf('Gemini', 'gemini-2.5-flash'),
    demand: { fees: { webSearch: null, groundedPrompt: 1 } },
    usage: { fees: { webSearch: 9, groundedPrompt: 1 } },
    dollars: 0.035,
  },
  {
    name: 'a prompt of Gemini 2.5 that maps ground, $25 per 1,000',
    price: priceOf('Gemini', 'gemini-2.5-flash'),
    demand: { fees: { webSearch: null, groundedPrompt: 1, mapsPrompt: 1 } },
    usage: { fees: { mapsPrompt: 1 } },
    dollars: 0.025,
  },
  {
    name: 'a container of 4 GB',
    price: priceOf('OpenAI', 'gpt-5.4'),
    demand: { fees: { container: 4 } },
    usage: { fees: { container: 4 } },
    dollars: 0.12,
  },
];

describe('the built-in prices', () => {
  for (const { name, price, demand, outputTokens = 0, usage, dollars } of bills) {
    it(`charge what the provider bills, and hold at least that: ${name}`, () => {
      assert.equal(costOf(price, { ...unused, ...usage }), Math.round(dollars * 1e9));
      const bound = upperBound(price, { ...nothing, ...demand }, overhead, outputTokens);
      assert.ok(typeof bound === 'number' && bound >= dollars * 1e9 - 1, JSON.stringify(bound));
    });
  }

  it('have no bound for what has no price', () => {
    const refused: readonly (readonly [price: ModelPrice, demand: Partial<Demand>])[] = [
      [priceOf('OpenAI', 'gpt-4o'), { media: { audio: 1 } }],
      [priceOf('OpenAI', 'gpt-4o'), { outputs: ['audio'] }],
      [priceOf('OpenAI', 'gpt-4o'), { media: { video: 1 } }],
      [priceOf('OpenAI', 'gpt-5.4'), { servings: ['fast'] }],
      [priceOf('OpenAI', 'gpt-5-nano'), { servings: ['priority'] }],
      [priceOf('AzureOpenAI', 'gpt-4o'), { fees: { webSearchPreview: 1 } }],
      [priceOf('Anthropic', 'claude-sonnet-4-5'), { servings: ['us'] }],
      [priceOf('Anthropic', 'claude-sonnet-4-5'), { servings: ['fast'] }],
      [priceOf('Gemini', 'gemini-2.5-flash-image'), { media: { audio: 1 } }],
      [priceOf('Gemini', 'gemini-embedding-001'), { pictures: [null] }],
      [priceOf('OpenRouter', 'deepseek/deepseek-r1'), { pictures: [null] }],
    ];
    for (const [price, demand] of refused) {
      const bound = upperBound(price, { ...nothing, ...demand }, overhead, 0);
      assert.ok(typeof bound !== 'number' && /is unknown for this model/.test(bound.reason), JSON.stringify(demand));
    }
  });
});
