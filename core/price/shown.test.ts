import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shownBound, shownTextBound } from './shown.ts';

/** JSON as Jinja's `tojson` escapes it. */
function escaped(text: string): string {
  return text.replace(/[<>&']|[^\x20-\x7e\n]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

test('no writer of JSON makes a value longer than its bound: plain, indented or escaped', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const text of [JSON.stringify(value), JSON.stringify(value, null, 4), escaped(JSON.stringify(value, null, 4))]) {
        assert.ok(Buffer.byteLength(text) <= shownBound(value), text);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a schema that is nested deeply is bounded with its indentation', () => {
  let schema: unknown = {};
  for (let depth = 0; depth < 120; depth += 1) schema = { properties: { a: schema } };
  assert.ok(shownBound(schema) >= JSON.stringify(schema, null, 4).length);
});

test('a text that is not parsed is bounded as the value that it is, and as the text that it is', () => {
  const values = fc.jsonValue({ stringUnit: 'binary' });
  const words = fc
    .array(fc.constantFrom('a', '"', '\\', '\n', 'é', '\ufdfa', '\u0323', '\u{1d15e}', '\ud834', '<', 'ᾧ'))
    .map((found) => found.join(''));
  fc.assert(
    fc.property(fc.oneof(values, words, fc.array(fc.double().map((number) => ({ number })))), (value) => {
      const plain = JSON.stringify(value);
      for (const text of [plain, JSON.stringify(value, null, 4), escaped(plain)]) {
        assert.ok(shownTextBound(text) >= shownBound(JSON.parse(text)), text);
        assert.ok(shownTextBound(text) >= shownBound(text), text);
      }
    }),
    { numRuns: 1000 },
  );
  for (const text of ['', '{', '"', '"\\', '"\\u12', ']]]', '[1,', ',,,', 'nul']) assert.ok(shownTextBound(text) >= shownBound(text), text);
});

test('an object of texts costs little more unparsed, and empty lists without number are never parsed', () => {
  const call = JSON.stringify({ path: 'src/a.ts', content: 'const a = "b";\n'.repeat(5000) });
  assert.ok(shownTextBound(call) < 1.3 * shownBound(JSON.parse(call)));
  const startedMs = performance.now();
  assert.ok(shownTextBound('[],'.repeat(1_000_000)) > 3_000_000);
  assert.ok(performance.now() - startedMs < 2000);
});
