import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sizesByEntry } from './max-output.ts';

describe('sizesByEntry', () => {
  it('takes a model’s own figures where it is listed by the entry’s id', () => {
    const sizes = sizesByEntry([{ id: 'gpt-4o', match: { startsWith: 'gpt-4o' } }], ['openai']);
    assert.equal(sizes.get('gpt-4o')?.maxOutputTokens, 16_384);
  });

  it('takes the smallest limit of the models that the entry is first to match, where its id is not listed', () => {
    const book = [
      { id: 'new', match: { equals: 'gpt-4o-2024-08-06' } },
      { id: 'family', match: { or: [{ equals: 'gpt-4o-2024-05-13' }, { equals: 'gpt-4o-2024-08-06' }] } },
    ];
    const sizes = sizesByEntry(book, ['openai']);
    assert.equal(sizes.get('new')?.maxOutputTokens, 16_384);
    assert.equal(sizes.get('family')?.maxOutputTokens, 4096);
  });

  it('knows only the vendors that are named, and prefixes them for aggregators', () => {
    const book = [{ id: 'claude', match: { contains: 'claude-opus-4-5' } as const }];
    assert.equal(sizesByEntry(book, ['openai']).get('claude'), undefined);
    assert.equal(sizesByEntry(book, ['anthropic']).get('claude')?.maxOutputTokens, 64_000);
    assert.equal(sizesByEntry([{ id: 'x', match: { equals: 'anthropic/claude-opus-4-5' } }], []).get('x')?.maxOutputTokens, 64_000);
  });
});
