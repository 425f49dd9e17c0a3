import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shownBound } from './shown.ts';

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
