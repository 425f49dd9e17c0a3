import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileMatch } from './match.ts';
import type { ModelMatch } from './types.ts';

function accepts(match: ModelMatch, names: readonly string[]): readonly string[] {
  return names.filter((name) => compileMatch(match)(name.toLowerCase()));
}

describe('compileMatch', () => {
  const names = ['gpt-4o', 'GPT-4o', 'gpt-4o-mini', 'my-gpt-4o', 'claude'];

  it('compares texts without regard to case, on either side', () => {
    assert.deepEqual(accepts({ equals: 'GPT-4o' }, names), ['gpt-4o', 'GPT-4o']);
    assert.deepEqual(accepts({ startsWith: 'Gpt-4O' }, names), ['gpt-4o', 'GPT-4o', 'gpt-4o-mini']);
    assert.deepEqual(accepts({ endsWith: '-4O' }, names), ['gpt-4o', 'GPT-4o', 'my-gpt-4o']);
    assert.deepEqual(accepts({ contains: 'T-4' }, names), names.slice(0, 4));
  });

  it('shows regular expressions the lower-cased name', () => {
    assert.deepEqual(accepts({ regex: '^gpt-4o(-mini)?$' }, names), ['gpt-4o', 'GPT-4o', 'gpt-4o-mini']);
    assert.deepEqual(accepts({ regex: 'GPT' }, names), []);
  });

  it('gives the same answer each time', () => {
    const matches = compileMatch({ regex: 'a' });
    assert.deepEqual([matches('a'), matches('a'), matches('b'), matches('a')], [true, true, false, true]);
  });

  it('combines with or and and; of nothing, or holds never and and always', () => {
    assert.deepEqual(accepts({ or: [{ equals: 'claude' }, { and: [{ startsWith: 'gpt' }, { endsWith: 'mini' }] }] }, names), [
      'gpt-4o-mini',
      'claude',
    ]);
    assert.deepEqual(accepts({ or: [] }, names), []);
    assert.deepEqual(accepts({ and: [] }, names), names);
  });
});
