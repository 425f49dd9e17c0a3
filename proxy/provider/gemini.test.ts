import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gemini } from './gemini.ts';

const tokens = (model: string, width: number, height: number): number => gemini.overheadOf(model).pictureTokens({ width, height });

test('before Gemini 3, a picture costs its tiles by the dearer of the two documented formulas', () => {
  // ai.google.dev/gemini-api/docs/image-understanding, and cloud.google.com for the limits of tiles.
  const examples: readonly (readonly [number, number, number])[] = [
    [384, 384, 1],
    [960, 540, 6],
    [1024, 1024, 4],
    [3072, 3072, 16],
    [3072, 384, 24],
    [384, 3072, 24],
    [8000, 8000, 16],
    [9000, 50, 24],
  ];
  for (const [width, height, tiles] of examples) {
    const bound = tokens('gemini-2.5-pro', width, height);
    assert.ok(bound >= 258 * tiles && bound <= 258 * (tiles + 1), `${width} × ${height}: ${bound}`);
  }
});

test('a picture of unknown size costs no less than one of any size', () => {
  for (const model of ['gemini-2.5-flash', 'gemini-3-pro-preview', 'a-tuned-model']) {
    const most = gemini.overheadOf(model).pictureTokens(null);
    for (const width of [1, 385, 1000, 3072, 20_000])
      for (const height of [1, 256, 384, 4000]) assert.ok(tokens(model, width, height) <= most);
  }
});

test('since Gemini 3, a picture costs at most its budget, whatever its size', () => {
  assert.ok(tokens('gemini-3.5-flash', 8000, 8000) >= 1120);
  assert.equal(tokens('gemini-3.5-flash', 8000, 8000), tokens('gemini-3.5-flash', 10, 10));
  assert.ok(tokens('a-tuned-model', 10, 10) >= 1120);
});

test('a plain request has no overhead', () => {
  assert.equal(gemini.overheadOf('gemini-3.5-flash').tokens.request, undefined);
});
