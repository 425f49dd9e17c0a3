import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defined, isObject, parseJson } from './json.ts';

test('text that is not JSON gives undefined, which no JSON text gives', () => {
  assert.deepEqual(parseJson('{"a":[1,null]}'), { a: [1, null] });
  assert.equal(parseJson('null'), null);
  for (const text of ['', '{', 'undefined', "{'a':1}"]) assert.equal(parseJson(text), undefined, text);
});

test('an object is neither a list nor null', () => {
  for (const value of [{}, { a: 1 }, Object.create(null), parseJson('{"__proto__":1}')]) assert.ok(isObject(value));
  for (const value of [null, undefined, [], 'text', 1, () => {}]) assert.ok(!isObject(value));
});

test('fields that are undefined are left out, and null, 0 and the empty text are not', () => {
  const given: { a?: number; b: string | undefined; c: null; d: number } = { b: undefined, c: null, d: 0 };
  assert.deepEqual(Object.keys(defined(given)), ['c', 'd']);
  const { d, b }: { readonly d: number; readonly b?: string } = defined(given);
  assert.deepEqual([d, b], [0, undefined]);
});
