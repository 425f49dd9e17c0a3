import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classesAbove, nanoPerCall, ratesOf, tableOf } from './rates.ts';

const plain = { models: /^/ };

describe('tableOf', () => {
  it('turns dollars per million into pico-dollars per token, rounding up what has no finite decimal form', () => {
    assert.equal(tableOf('m', { input_mtok: 0.0375, output_mtok: 1 })?.base.input, 37_500);
    assert.equal(tableOf('m', { input_mtok: 0.1 + 0.2, output_mtok: 1 })?.base.input, 300_000);
    assert.equal(tableOf('m', { input_mtok: 1 / 12, output_mtok: 1 })?.base.input, 83_334);
    assert.equal(nanoPerCall(2.5), 2_500_000);
  });

  it('names only what the source names, with the dearest of several prices for one class', () => {
    assert.deepEqual(tableOf('m', { input_mtok: 1, output_mtok: 4, cache_read_mtok: 0.1, cache_image_read_mtok: 0.2 }), {
      base: { input: 1_000_000, output: 4_000_000, cachedInput: 200_000 },
      tiers: [],
    });
  });

  it('joins tiers that start at different sizes for different classes', () => {
    const table = tableOf('m', {
      input_mtok: {
        base: 1,
        tiers: [
          { start: 300, price: 3 },
          { start: 100, price: 2 },
        ],
      },
      output_mtok: { base: 10, tiers: [{ start: 200, price: 20 }] },
      cache_read_mtok: 0.5,
    });
    assert.ok(table);
    assert.deepEqual(
      [0, 100, 200, 300].map((above) => {
        const { input, output, cachedInput } = classesAbove(table, above);
        return [input, output, cachedInput];
      }),
      [
        [1_000_000, 10_000_000, 500_000],
        [2_000_000, 10_000_000, 500_000],
        [2_000_000, 20_000_000, 500_000],
        [3_000_000, 20_000_000, 500_000],
      ],
    );
  });

  it('never prices a model partly', () => {
    for (const prices of [
      {},
      { output_mtok: 1 },
      { input_mtok: 1, output_mtok: 1, requests_kcount: 5 },
      { input_mtok: 1, output_mtok: 1, output_video_mtok: 9 },
      { input_audio_hours: 0.36 },
    ]) {
      assert.equal(tableOf('m', prices), null, JSON.stringify(prices));
    }
    assert.deepEqual(tableOf('some/model:free', {})?.base, { input: 0, output: 0 });
  });
});

describe('ratesOf', () => {
  it('fills text alone: audio, pictures, video, documents and media output stay unknown', () => {
    assert.deepEqual(ratesOf('m', { input: 1_000_000, output: 4_000_000 }, plain), {
      input: 1_000_000,
      cachedInput: 1_000_000,
      cacheWrite: 1_000_000,
      cacheWrite1h: 2_000_000,
      output: 4_000_000,
      reasoning: 4_000_000,
    });
  });

  it('prices as text what the provider bills as text, and never another modality', () => {
    const rates = ratesOf('m', { input: 3, cachedInput: 1, output: 9 }, { ...plain, asText: ['image', 'document'] });
    assert.deepEqual(
      [rates.inputImage, rates.inputDocument, rates.inputVideo, rates.inputAudio, rates.cachedInputAudio, rates.outputAudio],
      [3, 3, undefined, undefined, undefined, undefined],
    );
    const all = ratesOf('m', { input: 3, cachedInput: 1, output: 9 }, { ...plain, asText: ['audio'] });
    assert.deepEqual([all.inputAudio, all.cachedInputAudio], [3, 1]);
  });

  it('takes the dearer of the lists and the provider’s page, and either before the price of text', () => {
    const fact = { ...plain, asText: ['image', 'audio'], rates: { inputAudio: 40, outputAudio: 80, input: 1 } } as const;
    const rates = ratesOf('m', { input: 3_000_000, output: 9, inputImage: 7, outputAudio: 70 }, fact);
    assert.deepEqual([rates.input, rates.inputImage, rates.inputAudio, rates.outputAudio], [3_000_000, 7, 40_000_000, 80_000_000]);
  });

  it('prices speech as output where the output is speech', () => {
    assert.equal(ratesOf('m', { input: 1, output: 20 }, { ...plain, speaks: true }).outputAudio, 20);
  });

  it('gives the output of an embedding no price, and any other the price of input', () => {
    assert.equal(ratesOf('text-embedding', { input: 1 }, plain).output, 0);
    assert.equal(ratesOf('davinci', { input: 2 }, plain).output, 2);
  });
});
