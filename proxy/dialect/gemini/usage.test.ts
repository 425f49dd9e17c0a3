import assert from 'node:assert/strict';
import { test } from 'node:test';
import { geminiEmbed, geminiGenerate } from './requests.ts';

const read = (answer: object): unknown => geminiGenerate.readUsage(Buffer.from(JSON.stringify(answer))).usage;
const usageMetadata = { promptTokenCount: 320, candidatesTokenCount: 7 };
const plain = { input: 320, cachedInput: 0, cacheWrite: 0, output: 7, reasoning: 0 };

test('embeddings name the modalities of their input in a field of another name', () => {
  const promptTokenDetails = [{ modality: 'AUDIO', tokenCount: 320 }];
  const answer = { embedding: { values: [0.1] }, usageMetadata: { promptTokenCount: 320, promptTokenDetails } };
  const { usage } = geminiEmbed.readUsage(Buffer.from(JSON.stringify(answer)));
  assert.deepEqual(usage, { ...plain, output: 0, inputAudio: 320 });
  assert.deepEqual(read({ usageMetadata: { ...usageMetadata, promptTokensDetails: [{ modality: 'TEXT', tokenCount: 320 }] } }), plain);
});

test('every modality of the input is a part of it, together at most all', () => {
  const promptTokensDetails = ['AUDIO', 'VIDEO', 'IMAGE', 'DOCUMENT'].map((modality) => ({ modality, tokenCount: 100 }));
  assert.deepEqual(read({ usageMetadata: { ...usageMetadata, promptTokensDetails } }), {
    ...plain,
    ...{ inputAudio: 100, inputVideo: 100, inputImage: 100, inputDocument: 20 },
  });
});

test('the way in which the answer says that it was served is part of its usage', () => {
  const served = (more: object): unknown => read({ usageMetadata: { ...usageMetadata, ...more } });
  assert.deepEqual(served({ trafficType: 'ON_DEMAND' }), plain);
  assert.deepEqual(served({ trafficType: 'ON_DEMAND_PRIORITY' }), { ...plain, servings: ['priority'] });
  assert.deepEqual(served({ trafficType: 'ON_DEMAND_FLEX' }), { ...plain, servings: ['flex'] });
  assert.deepEqual(served({ serviceTier: 'PRIORITY' }), { ...plain, servings: ['priority'] });
});

const grounded = (groundingMetadata: object): object => ({ candidates: [{ groundingMetadata }], usageMetadata });

test('each unique search is billed, or the prompt that they ground', () => {
  const webSearchQueries = ['', 'a', 'b', 'a'];
  assert.deepEqual(read(grounded({ webSearchQueries })), { ...plain, fees: { webSearch: 2, groundedPrompt: 1 } });
  assert.deepEqual(read(grounded({ webSearchQueries, imageSearchQueries: ['a'] })), {
    ...plain,
    fees: { webSearch: 3, groundedPrompt: 1 },
  });
  assert.deepEqual(read(grounded({ groundingChunks: [{ maps: { uri: 'x' } }, { maps: {} }] })), {
    ...plain,
    fees: { mapsPrompt: 1 },
  });
  assert.deepEqual(read(grounded({ webSearchQueries, groundingChunks: [{ maps: {} }] })), {
    ...plain,
    fees: { webSearch: 2, groundedPrompt: 1, mapsPrompt: 1 },
  });
  assert.deepEqual(read(grounded({ webSearchQueries: [''], groundingChunks: [{ retrievedContext: {} }] })), plain);
});

test('searches that a stream names in several events are billed once each', () => {
  const meter = geminiGenerate.meterStream('keep');
  for (const webSearchQueries of [['a'], ['a', 'b'], ['c']]) {
    meter.push(Buffer.from(`data: ${JSON.stringify(grounded({ webSearchQueries }))}\r\n\r\n`));
  }
  assert.deepEqual(meter.reading().usage, { ...plain, fees: { webSearch: 3, groundedPrompt: 1 } });
});
