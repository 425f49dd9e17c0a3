import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compilePattern } from './pattern.ts';

describe('compilePattern', () => {
  it('agrees with a regular expression made of the same pattern', () => {
    const letters = (alphabet: string) => fc.array(fc.constantFrom(...alphabet), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(letters('ab.*'), letters('ab.'), (pattern, name) => {
        const source = pattern
          .split('*')
          .map((piece) => piece.replaceAll('.', '\\.'))
          .join('.*');
        assert.equal(compilePattern(pattern)(name), new RegExp(`^${source}$`).test(name));
      }),
      { numRuns: 500 },
    );
  });

  it('takes no character but * for special', () => {
    assert.equal(compilePattern('gpt.5+')('gptx55'), false);
    assert.equal(compilePattern('gpt.5+')('gpt.5+'), true);
  });

  it('stays quick where a regular expression would hang', () => {
    const matches = compilePattern(`${'a*'.repeat(64)}b`);
    const started = performance.now();
    assert.equal(matches('a'.repeat(100_000)), false);
    assert.ok(performance.now() - started < 10_000);
  });
});
