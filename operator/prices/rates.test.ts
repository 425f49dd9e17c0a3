import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pricesOf } from './rates.ts';

describe('pricesOf', () => {
  it('turns dollars per million into pico-dollars per token, rounding up what has no finite decimal form', () => {
    assert.equal(pricesOf('m', { input_mtok: 0.0375, output_mtok: 1 })?.rates.input, 37_500);
    assert.equal(pricesOf('m', { input_mtok: 0.1 + 0.2, output_mtok: 1 })?.rates.input, 300_000);
    assert.equal(pricesOf('m', { input_mtok: 1 / 12, output_mtok: 1 })?.rates.input, 83_334);
  });

  it('fills every class that is not named with what it would be billed as', () => {
    assert.deepEqual(pricesOf('m', { input_mtok: 1, output_mtok: 4 }), {
      rates: {
        input: 1_000_000,
        cachedInput: 1_000_000,
        cacheWrite: 1_000_000,
        cacheWrite1h: 2_000_000,
        output: 4_000_000,
        reasoning: 4_000_000,
        inputAudio: 1_000_000,
        cachedInputAudio: 1_000_000,
        inputImage: 1_000_000,
        outputAudio: 4_000_000,
        outputImage: 4_000_000,
      },
      tiers: [],
    });
  });

  it('counts video as images at the dearer rate, and cached images as cached text likewise', () => {
    const rates = pricesOf('m', {
      input_mtok: 1,
      output_mtok: 1,
      input_image_mtok: 2,
      input_video_mtok: 3,
      cache_read_mtok: 0.1,
      cache_image_read_mtok: 0.2,
      output_video_mtok: 9,
    })?.rates;
    assert.deepEqual([rates?.inputImage, rates?.cachedInput, rates?.outputImage], [3_000_000, 200_000, 9_000_000]);
  });

  it('joins tiers that start at different sizes for different classes', () => {
    const price = pricesOf('m', {
      input_mtok: {
        base: 1,
        tiers: [
          { start: 300, price: 3 },
          { start: 100, price: 2 },
        ],
      },
      output_mtok: { base: 10, tiers: [{ start: 200, price: 20 }] },
      cache_read_mtok: 0.5,
      web_searches_kcount: 14,
    });
    assert.deepEqual([price?.rates.input, price?.rates.output], [1_000_000, 10_000_000]);
    assert.deepEqual(
      price?.tiers.map(({ above, rates }) => [above, rates.input, rates.output, rates.cachedInput]),
      [
        [100, 2_000_000, 10_000_000, 500_000],
        [200, 2_000_000, 20_000_000, 500_000],
        [300, 3_000_000, 20_000_000, 500_000],
      ],
    );
    assert.equal(price?.webSearch, 14_000_000);
  });

  it('never prices a model partly', () => {
    assert.equal(pricesOf('m', {}), null);
    assert.equal(pricesOf('m', { output_mtok: 1 }), null);
    assert.equal(pricesOf('m', { input_mtok: 1, output_mtok: 1, requests_kcount: 5 }), null);
    assert.equal(pricesOf('m', { input_audio_hours: 0.36 }), null);
    assert.equal(pricesOf('some/model:free', {})?.rates.input, 0);
    assert.equal(pricesOf('text-embedding', { input_mtok: 1 })?.rates.output, 0);
    assert.equal(pricesOf('davinci', { input_mtok: 2 })?.rates.output, 2_000_000);
  });
});
