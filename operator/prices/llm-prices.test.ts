import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { secondByEntry } from './llm-prices.ts';

describe('secondByEntry', () => {
  it('takes a model’s own figures where it is listed by the entry’s id', () => {
    const second = secondByEntry([{ id: 'gpt-4o', match: { startsWith: 'gpt-4o' } }], ['openai']).get('gpt-4o');
    assert.equal(second?.maxOutputTokens, 16_384);
    assert.deepEqual(second?.table, { base: { input: 2_500_000, output: 10_000_000, cachedInput: 1_250_000 }, tiers: [] });
  });

  it('takes the smallest limit and the dearest price of the models that the entry is first to match, where its id is not listed', () => {
    const book = [
      { id: 'new', match: { equals: 'gpt-4o-2024-08-06' } },
      { id: 'family', match: { or: [{ equals: 'gpt-4o-2024-05-13' }, { equals: 'gpt-4o-2024-08-06' }, { equals: 'gpt-4o-mini' }] } },
    ];
    const seconds = secondByEntry(book, ['openai']);
    assert.equal(seconds.get('new')?.maxOutputTokens, 16_384);
    assert.deepEqual([seconds.get('family')?.maxOutputTokens, seconds.get('family')?.table.base.input], [4096, 5_000_000]);
  });

  it('takes the price of a model’s snapshots before that of other models that the entry covers', () => {
    const book = [{ id: 'mistral-medium-3-1', match: { startsWith: 'mistral-medium' } }];
    assert.equal(secondByEntry(book, ['mistral']).get('mistral-medium-3-1')?.table.base.input, 400_000);
  });

  it('knows the long-context tier', () => {
    const second = secondByEntry([{ id: 'gemini-2.5-pro', match: { equals: 'gemini-2.5-pro' } }], ['gemini']).get('gemini-2.5-pro');
    assert.deepEqual(
      second?.table.tiers.map(({ above, classes }) => [above, classes.input, classes.output]),
      [[200_000, 2_500_000, 15_000_000]],
    );
  });

  it('knows only the vendors that are named, and prefixes them for aggregators', () => {
    const book = [{ id: 'claude', match: { contains: 'claude-opus-4-5' } as const }];
    assert.equal(secondByEntry(book, ['openai']).get('claude'), undefined);
    assert.equal(secondByEntry(book, ['anthropic']).get('claude')?.maxOutputTokens, 64_000);
    assert.equal(secondByEntry([{ id: 'x', match: { equals: 'anthropic/claude-opus-4-5' } }], []).get('x')?.maxOutputTokens, 64_000);
  });
});
