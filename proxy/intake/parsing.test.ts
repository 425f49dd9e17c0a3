import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseJson } from '../../core/json.ts';
import { Parsing } from './parsing.ts';
import { Pieces } from './pieces.ts';
import { Scan } from './scan.ts';

/** What is parsed in steps of so many units; undefined: the text is no JSON. */
function parsedInSteps(text: string, units: number): unknown {
  const bytes = Buffer.from(text);
  const pieces = new Pieces();
  const scan = new Scan(bytes, { start: 0, end: bytes.length }, pieces);
  while (!scan.isDone) scan.run(units);
  if (scan.problem !== null) return undefined;
  const parsing = new Parsing(bytes, pieces);
  while (!parsing.isDone) parsing.run(units);
  return parsing.problem === null ? parsing.value : undefined;
}

function assertLikeJson(text: string, units: number): void {
  const found = parsedInSteps(text, units);
  const expected = parseJson(text);
  assert.deepEqual(found, expected);
  assert.equal(JSON.stringify(found), JSON.stringify(expected), 'in the same order');
}

const long = ['a', 'é', '漢', '\u{1f600}', '\\"', '\\\\', '\\u00e9', '\\ud83d\\ude00', '\\\\\\"x', '"'.repeat(0)].map(
  (part, at) => `"${'x'.repeat(at)}${part.repeat(200_000 / (part.length + 1))}"`,
);

test('long strings of every kind are parsed as JSON.parse does, wherever they are cut', () => {
  for (const string of long) for (const units of [1, 4096, 1_000_000]) assertLikeJson(`{"a":[${string},1],${string}:2}`, units);
});

test('a long string that JSON.parse refuses is refused', () => {
  for (const part of ['\n', '\\x', '\\u12', '\\ud8', '\\', '\u0001']) {
    for (const lead of [65_530, 65_535, 65_536, 130_000]) assertLikeJson(`{"a":"${'x'.repeat(lead)}${part}${'y'.repeat(70_000)}"}`, 4096);
  }
  assertLikeJson(`{"a":"${'x'.repeat(100_000)}`, 4096);
});

test('lists and objects of many values are parsed as JSON.parse does', () => {
  const many = Array.from({ length: 5000 }, (_, at) => at);
  assertLikeJson(JSON.stringify(Object.fromEntries(many.map((at) => [`k${at * 7919}`, [at, { at }]]))), 4096);
  assertLikeJson(`{"2":1,"1":2,"__proto__":{"x":1},"a":[${many.join(' , ')}],"a":3}`, 100);
  assertLikeJson(`${' '.repeat(70_000)}{ "a" :\t[ ${many.map((at) => `"${at}"`).join('\n,')} ] } `, 1000);
});

test('a number of absurd length is refused', () => {
  assert.equal(parsedInSteps(`{"a":${'1'.repeat(70_000)}}`, 4096), undefined);
  assert.deepEqual(parsedInSteps(`{"a":0.${'1'.repeat(1000)}}`, 100), { a: 1 / 9 });
});

/** Text that is nearly JSON: a few bytes of it are replaced. */
const nearlyJson = fc
  .tuple(
    fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }),
    fc.constantFrom(undefined, 1, '\t'),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(...',:"[]{}\\ 01e-.\n', 'nul', '"a":', '')), { maxLength: 2 }),
  )
  .map(([value, indent, changes]) => {
    let text = JSON.stringify(value, null, indent);
    for (const [where, what] of changes) {
      const at = where % (text.length + 1);
      text = text.slice(0, at) + what + text.slice(at + (where % 2));
    }
    return Buffer.from(text).toString();
  });

test('any text is parsed or refused as JSON.parse does', () => {
  // Without pieces, so that all of the structure is read.
  const filled = (text: string): string => `[${text},"${'x'.repeat(20_000)}"]`;
  fc.assert(
    fc.property(nearlyJson, fc.integer({ min: 1, max: 300 }), (text, units) => {
      assertLikeJson(text, units);
      assertLikeJson(filled(text), units);
    }),
    { numRuns: 500 },
  );
});

/** What one run does: it is never more than its units and one step. */
function mostBytesPerRun(text: string, units: number): number {
  const bytes = Buffer.from(text);
  const pieces = new Pieces();
  const scan = new Scan(bytes, { start: 0, end: bytes.length }, pieces);
  while (!scan.isDone) scan.run(bytes.length);
  const parsing = new Parsing(bytes, pieces);
  let most = 0;
  for (let before = 0; !parsing.isDone; before = parsing.at) {
    parsing.run(units);
    most = Math.max(most, parsing.at - before);
  }
  assert.equal(parsing.problem, null);
  return most;
}

test('one run never reads much more than its units, and of many values or dense lists less', () => {
  const units = 256 * 1024;
  const size = 4 * 1024 * 1024;
  const fill = (part: string): string => part.repeat(size / part.length);
  for (const string of ['x', '\\u00e9', '\\"', '漢']) assert.ok(mostBytesPerRun(`{"a":"${fill(string)}"}`, units) < 2 * units, string);
  assert.ok(mostBytesPerRun(`{"a":[${fill('"xxxxxxxx",')}1]}`, units) < units / 2);
  assert.ok(mostBytesPerRun(`{"a":[${fill('[1,2,3,4,5,6,7,8,9,10,11,12,13],')}1]}`, units) < units / 2);
  assert.ok(mostBytesPerRun(`{${fill(' ')}"a":1}`, units) <= units + 64);
});
