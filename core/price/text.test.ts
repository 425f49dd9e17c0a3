import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { stringBound, ValueBounding, valueBound } from './text.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 700 });
const combining = ['\u0301', '\u0315', '\u0323', '\u0338', '\u0344', '\u0345', '\u1100', '\u1161', '\u11a8', '\u30ab', '\u3099', '\uff9e'];

function isAboveBound(text: string): boolean {
  const forms = [text, text.normalize('NFC'), text.normalize('NFKC')];
  return Math.max(...forms.map((form) => Buffer.byteLength(form))) > stringBound(text);
}

describe('stringBound', () => {
  it('is the number of UTF-8 bytes where normalising does not grow the text', () => {
    assert.equal(stringBound(''), 0);
    assert.equal(stringBound('hello'), 5);
    assert.equal(stringBound('é'), 2);
    assert.equal(stringBound('漢字'), 6);
    assert.equal(stringBound('🙂'), 4);
    assert.equal(stringBound('e\u0301'), 3);
  });

  it('counts what NFKC makes of the text where that is longer', () => {
    assert.equal(stringBound('\ufdfa'.repeat(1000)), 33_000);
    assert.equal(stringBound('¼'), 5);
    assert.equal(stringBound('\u{1d163}'), 12);
    // Full-width letters become ASCII: the bytes as sent are the larger figure.
    assert.equal(stringBound('ＡＢ'), 6);
  });

  it('counts a lone surrogate as the three bytes of its replacement', () => {
    assert.equal(stringBound('\ud800'), 3);
    assert.equal(stringBound('a\udc00\ud800'), 7);
    assert.equal(stringBound('\ud800'.repeat(1000)), 3000);
  });

  it('sees through escapes, since it gets decoded strings', () => {
    const escaped = JSON.parse(`"${'\\ufdfa'.repeat(1000)}"`);
    assert.equal(stringBound(escaped), 33_000);
  });

  it('does not split a surrogate pair where it cuts long texts', () => {
    for (const lead of ['', 'é', 'éa', 'éab']) assert.equal(stringBound(lead + '\u{1d163}'.repeat(2000)), stringBound(lead) + 24_000);
  });

  it('adds what one normal form lengthens to what it shortens, since another form may do only the former', () => {
    // NFC makes 12 bytes of each note and leaves the letters; NFKC makes 2 of each letter. Qwen 3 (NFC) gives 220 tokens.
    const mixed = '\u{1d163}'.repeat(10) + '\u{1ee00}'.repeat(40);
    assert.equal(Math.max(Buffer.byteLength(mixed), Buffer.byteLength(mixed.normalize('NFKC'))), 200);
    assert.equal(Buffer.byteLength(mixed.normalize('NFC')), 280);
    assert.equal(stringBound(mixed), 280);
  });

  it('covers every character of Unicode, and every accented letter whose accent another mark displaces', () => {
    const characters = Array.from({ length: 0x110000 }, (_, code) => String.fromCodePoint(code));
    assert.deepEqual(characters.filter(isAboveBound), []);
    const composed = characters.filter((character) => character.normalize('NFD') !== character && !/\p{Script=Hangul}/u.test(character));
    const marks = new Set(composed.flatMap((character) => [...character.normalize('NFD')].slice(1)));
    assert.ok(composed.length > 2000 && marks.size > 60);
    for (const character of composed) for (const mark of marks) assert.ok(!isAboveBound(character + mark), escape(character + mark));
    // A dot below goes before an acute accent.
    assert.equal(Buffer.byteLength('é\u0323'.normalize('NFC')), 5);
    // NFKC makes a mark of the first, which goes before the second.
    assert.ok(!isAboveBound('é\uff9e\u0323'));
    for (const lead of [0, 254, 255, 256, 257]) assert.ok(!isAboveBound(`${'漢'.repeat(lead)}é\u0323`), `${lead}`);
  });

  it('is never below the bytes of the text, nor below the bytes of its normal forms', () => {
    const parts = fc.constantFrom(
      ...'aeo',
      'é',
      'ẛ',
      'ᾳ',
      'Ａ',
      'ﬃ',
      '½',
      '\ufdfa',
      '\u{1d163}',
      '\ud834',
      '\udd63',
      '\u{1ee00}',
      ...combining,
    );
    const text = fc.oneof(
      anyText,
      fc.array(parts, { maxLength: 1200 }).map((found) => found.join('')),
    );
    fc.assert(
      fc.property(text, (any) => !isAboveBound(any)),
      { numRuns: 500 },
    );
  });

  it('stays fast on combining marks, which normalising sorts in quadratic time', () => {
    const startedMs = performance.now();
    assert.equal(stringBound(`a${'\u0315'.repeat(50_000)}${'\u0300'.repeat(50_000)}`), 200_001);
    // It takes 3 ms; in quadratic time it would be 14 s.
    assert.ok(performance.now() - startedMs < 3_000);
  });
});

describe('valueBound', () => {
  it('is at least what it takes to write the value as JSON with spaces', () => {
    const spaced = (value: unknown): number =>
      Buffer.byteLength(JSON.stringify(value)) +
      JSON.stringify(value)
        .replace(/"(\\.|[^"\\])*"/g, '')
        .replace(/[^:,]/g, '').length;
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => valueBound(value).tokens >= spaced(value)));
  });

  it('is at least the bounds of all strings and keys', () => {
    fc.assert(
      fc.property(fc.dictionary(anyText, anyText, { maxKeys: 5 }), (value) => {
        const parsed = JSON.parse(JSON.stringify(value));
        const sum = Object.entries(parsed as Record<string, string>).reduce(
          (total, [key, text]) => total + Buffer.byteLength(key.normalize('NFKC')) + Buffer.byteLength(text.normalize('NFKC')),
          0,
        );
        assert.ok(valueBound(parsed).tokens >= sum);
      }),
    );
  });

  it('never shrinks when something is added', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (a, b) => {
        assert.ok(valueBound([a, b]).tokens >= valueBound([a]).tokens + valueBound(b).tokens);
        assert.ok(valueBound({ a, b }).tokens >= valueBound({ a }).tokens + valueBound(b).tokens);
      }),
    );
  });

  it('counts brackets, which cost tokens though they hold no text', () => {
    assert.ok(valueBound(Array.from({ length: 1000 }, () => [])).tokens >= 4000);
  });

  it('counts the escapes that a string gets when it is written into a prompt as JSON', () => {
    assert.equal(valueBound('\u0001'.repeat(100)).tokens, 602);
    assert.equal(valueBound('"'.repeat(100)).tokens, 202);
  });

  it('allows for what other parsers make of a number', () => {
    assert.ok(valueBound(JSON.parse('1e20')).tokens >= '100000000000000000000'.length);
    assert.ok(valueBound(JSON.parse('1e308')).tokens >= 309);
    assert.ok(valueBound(JSON.parse('1e400')).tokens >= Number.MAX_SAFE_INTEGER);
  });

  it('counts the members of all objects, each name once in each object', () => {
    assert.equal(valueBound(JSON.parse('{"a":1,"b":{"a":[{"c":2},{"c":3}]}}')).keys, 5);
    assert.equal(valueBound(JSON.parse('{"a":1,"a":2}')).keys, 1);
    assert.equal(valueBound(JSON.parse('{"__proto__":{"x":1}}')).keys, 2);
    assert.equal(valueBound(['a', null, true, 1]).keys, 0);
  });

  it('takes any nesting that a parser takes', () => {
    assert.ok(valueBound(JSON.parse('['.repeat(200_000) + ']'.repeat(200_000))).tokens >= 400_000);
  });

  it('is the same for a value that is bounded in steps, wherever they cut it', () => {
    const value = fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' });
    fc.assert(
      fc.property(fc.record({ value, text: anyText, more: anyText }), fc.integer({ min: 1, max: 300 }), (given, units) => {
        const bounding = new ValueBounding(given);
        while (!bounding.isDone) bounding.run(units);
        assert.deepEqual([bounding.tokens, bounding.keys], [valueBound(given).tokens, valueBound(given).keys]);
      }),
    );
    const long = 'a\u{1d15e}é\u0323"'.repeat(40_000);
    assert.equal(valueBound(long).tokens, stringBound(JSON.stringify(long)));
  });
});
