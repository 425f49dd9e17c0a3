import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropic } from './anthropic.ts';

const tokens = (model: string, width: number, height: number): number => anthropic.overheadOf(model).pictureTokens({ width, height });

test('the bound of a picture is never below the documented examples, and close to them', () => {
  // platform.claude.com/docs/en/build-with-claude/vision: the model, the picture, what it costs.
  const examples: readonly (readonly [string, number, number, number])[] = [
    ['claude-sonnet-4-6', 200, 200, 64],
    ['claude-sonnet-4-6', 1000, 1000, 1334],
    ['claude-sonnet-4-6', 1092, 1092, 1590],
    ['claude-sonnet-4-6', 1920, 1080, 1560],
    ['claude-opus-5', 1920, 1080, 2691],
    ['claude-opus-5', 3840, 2160, 4784],
    ['claude-opus-4-7', 3024, 1964, 4760],
  ];
  for (const [model, width, height, costs] of examples) {
    const bound = tokens(model, width, height);
    assert.ok(bound >= costs && bound <= costs * 1.1 + 64, `${model} ${width} × ${height}: ${bound}`);
  }
});

test('a larger picture is scaled to the most that its model reads', () => {
  for (const [model, most] of [
    ['claude-3-5-sonnet-20241022', 1664],
    ['claude-opus-4-1-20250805', 1664],
    ['claude-haiku-4-5-20251001', 1664],
    ['claude-opus-4-8', 4848],
    ['claude-sonnet-5', 4848],
    ['claude-sonnet-5-5', 4848],
    ['claude-opus-6', 8192],
    ['our-own-claude-sonnet-4', 8192],
  ] as const) {
    assert.equal(tokens(model, 8000, 8000), most, model);
    assert.equal(anthropic.overheadOf(model).pictureTokens(null), most, model);
  }
});
