import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type OutputLimits, outputLimits, type Thinking, thinkingWithin } from './output-limit.ts';

interface Given {
  readonly asked?: number;
  readonly ceiling?: number;
  readonly thinking?: Thinking;
  readonly reasonsByDefault?: boolean;
  readonly exact?: boolean;
}

function limits({ asked, ceiling, thinking, reasonsByDefault = false, exact = false }: Given): OutputLimits | null {
  return outputLimits({ asked, ceiling, thinking, reasonsByDefault, exact, fallback: 16_384 });
}

describe('outputLimits', () => {
  it('takes the least of what caller, policy and model allow as the most', () => {
    assert.equal(limits({ asked: 32_000, ceiling: 64_000 })?.max, 32_000);
    assert.equal(limits({ asked: 64_000, ceiling: 8000 })?.max, 8000);
    assert.equal(limits({ ceiling: 8000 })?.max, 8000);
    assert.equal(limits({})?.max, 16_384);
  });

  it('has a floor of what was asked for, and of 1,024 at most', () => {
    assert.equal(limits({ asked: 32_000 })?.floor, 1024);
    assert.equal(limits({ asked: 100 })?.floor, 100);
    assert.equal(limits({ asked: 0 })?.floor, 0);
    assert.equal(limits({ asked: 32_000, thinking: { kind: 'off' }, reasonsByDefault: true })?.floor, 1024);
  });

  it('leaves room to speak above the least thinking budget, and prefers the whole of it', () => {
    const thinking = { kind: 'budget', tokens: 16_000, leastTokens: 1024 } as const;
    assert.deepEqual(limits({ asked: 32_000, thinking }), { floor: 2048, preferred: 24_192, max: 32_000 });
    assert.deepEqual(limits({ asked: 17_000, thinking }), { floor: 2048, preferred: 17_000, max: 17_000 });
  });

  it('leaves a model that decides itself how much it thinks that much, and 8,192 at least', () => {
    assert.equal(limits({ asked: 32_000, reasonsByDefault: true })?.floor, 9216);
    assert.equal(limits({ asked: 32_000, thinking: { kind: 'effort', effort: 'low' } })?.floor, 8192);
    assert.equal(limits({ asked: 32_000, thinking: { kind: 'effort', effort: 'high' } })?.floor, 25_600);
    assert.equal(limits({ asked: 4000, reasonsByDefault: true })?.floor, 4000);
  });

  it('lowers nothing for a caller that asks for its exact limit', () => {
    assert.deepEqual(limits({ asked: 32_000, exact: true }), { floor: 32_000, preferred: 32_000, max: 32_000 });
    assert.equal(limits({ asked: 32_000, ceiling: 8000, exact: true }), null);
    assert.equal(limits({ ceiling: 8000, exact: true })?.floor, 1024);
  });
});

describe('thinkingWithin', () => {
  const thinking = { kind: 'budget', tokens: 16_000, leastTokens: 1024 } as const;

  it('lowers a budget to what the limit leaves, never below the least', () => {
    assert.equal(thinkingWithin(thinking, 9000), 7976);
    assert.equal(thinkingWithin(thinking, 2048), 1024);
    assert.equal(thinkingWithin(thinking, 1500), 1024);
  });

  it('leaves alone what fits, and what is no budget', () => {
    assert.equal(thinkingWithin(thinking, 17_024), undefined);
    assert.equal(thinkingWithin({ kind: 'effort', effort: 'high' }, 100), undefined);
    assert.equal(thinkingWithin(undefined, 100), undefined);
    assert.equal(thinkingWithin({ kind: 'budget', tokens: 0, leastTokens: 0 }, 100), undefined);
  });
});
