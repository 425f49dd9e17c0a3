import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { azureOpenAi } from './azure-openai.ts';
import { openAi } from './openai.ts';
import { openAiCompatible } from './openai-compatible.ts';
import { openAiPictureTokens } from './openai-pictures.ts';
import { openRouter } from './openrouter.ts';

function tokens(model: string, width: number, height: number): number {
  return openAiPictureTokens(model, { width, height });
}

test('tiles and patches count as in the guide’s examples', () => {
  assert.deepEqual([tokens('gpt-4o', 1024, 1024), tokens('gpt-4o', 2048, 4096), tokens('gpt-4.1', 512, 512)], [765, 1105, 255]);
  assert.deepEqual([tokens('gpt-4.1-mini', 1024, 1024), tokens('gpt-4.1-nano', 1024, 1024)], [1659, 2520]);
  assert.equal(tokens('gpt-4.1-mini', 1800, 2400), Math.ceil(1536 * 1.62));
  assert.deepEqual(
    [tokens('gpt-4o-mini-2024-07-18', 512, 512), tokens('gpt-5-2025-08-07', 1024, 1024), tokens('o3', 100, 100)],
    [8500, 630, 225],
  );
});

test('a picture of unknown size has the most that its model counts, and an unknown model is the dearest', () => {
  assert.equal(openAiPictureTokens('gpt-4o', null), 1445);
  assert.equal(openAiPictureTokens('gpt-4o-mini', null), 48_169);
  assert.equal(openAiPictureTokens('gpt-5.4', null), 24_600);
  assert.equal(openAiPictureTokens('prod-deployment', null), 48_169);
});

test('no family counts more than an unknown model, and no picture more than one of unknown size', () => {
  const models = [
    'gpt-4o',
    'gpt-4o-mini',
    'gpt-4.1-nano',
    'o4-mini',
    'o1',
    'gpt-5',
    'gpt-5-mini',
    'gpt-6',
    'computer-use-preview',
    'other',
  ];
  const side = fc.integer({ min: 1, max: 20_000 });
  fc.assert(
    fc.property(fc.constantFrom(...models), side, side, (model, width, height) => {
      const counted = tokens(model, width, height);
      return counted > 0 && counted <= tokens('', width, height) && counted <= openAiPictureTokens(model, null);
    }),
  );
});

test('each provider counts pictures by the model, under its own name of it', () => {
  const size = { width: 1024, height: 1024 };
  assert.equal(openAi.overheadOf('gpt-4o').pictureTokens(size), 765);
  assert.equal(azureOpenAi.overheadOf('gpt-4o').pictureTokens(size), 765);
  assert.equal(openAiCompatible.overheadOf('gpt-4o').pictureTokens(size), 765);
  assert.equal(openRouter.overheadOf('openai/gpt-4o').pictureTokens(size), 765);
});

test('results of preview searches are free with models that do not reason', () => {
  for (const model of ['gpt-4o', 'gpt-4.1-mini', 'gpt-4o-2024-08-06']) assert.equal(openAi.overheadOf(model).freePreviews, true);
  for (const model of ['gpt-5', 'o3', 'prod']) assert.equal(openAi.overheadOf(model).freePreviews, undefined);
  assert.equal(openAiCompatible.overheadOf('gpt-4o').freePreviews, undefined);
});

test('a plain request has no overhead at OpenAI, and room for a chat template elsewhere', () => {
  assert.equal(openAi.overheadOf('gpt-5.4').tokens.request, undefined);
  for (const model of ['gpt-4o', 'o4-mini', 'text-embedding-3-large'])
    assert.equal(azureOpenAi.overheadOf(model).tokens.request, undefined);
  // Recorded: Azure's Grok counts 57 tokens more than the bytes of its text.
  for (const model of ['grok-4-1-fast', 'gpt-oss-120b', 'prod']) assert.equal(azureOpenAi.overheadOf(model).tokens.request, 1024);
  assert.deepEqual([openRouter.overheadOf('m').tokens.request, openAiCompatible.overheadOf('m').tokens.request], [1024, 1024]);
});
