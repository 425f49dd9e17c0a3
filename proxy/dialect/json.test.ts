import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyReader, type JsonBody, readBody } from './json.ts';
import { type Edit, spliceBody } from './splice.ts';

function read(text: string | Buffer): JsonBody {
  const body = readBody(Buffer.from(text as string));
  if ('problem' in body) throw new Error(body.problem);
  return body;
}

const reader = new BodyReader();

function problemOf(text: string | Buffer): string {
  const body = readBody(Buffer.from(text as string));
  return 'problem' in body ? body.problem : 'none';
}

test('a body is read with the byte range of each top-level value', () => {
  const body = read('\n{ "model" : "gpt-5" ,"é":[1, {"a":2}] , "n": 1\t}\r\n');
  assert.deepEqual(body.value, { model: 'gpt-5', é: [1, { a: 2 }], n: 1 });
  const texts = [...body.members].map(([key, { start, end }]) => [key, body.bytes.toString('utf8', start, end)]);
  assert.deepEqual(texts, [
    ['model', '"gpt-5"'],
    ['é', '[1, {"a":2}]'],
    ['n', '1'],
  ]);
});

test('a key that occurs twice is refused at any depth', () => {
  for (const text of [
    '{"model":"a","model":"b"}',
    '{"a":{"x":1,"x":1}}',
    '{"a":[[{"x":[1],"y":2,"x":{}}]]}',
    '{"a":{"x":1,"\\u0078":2}}',
    '{"__proto__":1,"__proto__":2}',
    '{"a":{"1":1,"1":2}}',
  ]) {
    assert.match(problemOf(text), /same key twice/, text);
  }
});

test('the same key in different objects, and colons and quotes within strings, are no duplicates', () => {
  const value = { a: { x: 1 }, b: { x: 1 }, 'c:': ':::\\":"', d: '{"a":1,"a":2}', e: '\\', f: '\\\\"' };
  assert.deepEqual(read(JSON.stringify(value)).value, value);
});

test('a key written with escapes is refused', () => {
  assert.match(problemOf('{"mod\\u0065l":"a"}'), /escapes/);
  assert.match(problemOf('{"a\\"b":1}'), /escapes/);
  assert.deepEqual(read('{"a":{"mod\\u0065l":1}}').value, { a: { model: 1 } });
});

test('what is no JSON object in UTF-8 is refused', () => {
  for (const text of [
    '',
    ' ',
    '[]',
    '"x"',
    '1',
    'null',
    '{',
    '{"a":1',
    '{"a":1}}',
    '{"a":1} x',
    '{"a":01}',
    "{'a':1}",
    '{"a":"\n"}',
    '{"a":1,}',
    '{"a',
    '"',
  ])
    assert.notEqual(problemOf(text), 'none', JSON.stringify(text));
  assert.match(problemOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), /UTF-8/);
  assert.match(problemOf(Buffer.from('{"a":1}', 'utf16le')), /not valid JSON/);
});

test('a byte order mark before the text is left out, one within it is not JSON', () => {
  const body = readBody(Buffer.from('\ufeff{"a":1}'));
  assert.ok(!('problem' in body));
  assert.deepEqual([body.bytes.toString(), body.value], ['{"a":1}', { a: 1 }]);
  assert.deepEqual(body.members.get('a'), { start: 5, end: 6 });
  for (const text of ['\ufeff\ufeff{}', '{\ufeff}', '{}\ufeff']) assert.match(problemOf(text), /not valid JSON/);
});

test('a body may be nested 128 levels deep and no deeper', () => {
  const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  assert.equal(problemOf(nested(128)), 'none');
  assert.match(problemOf(nested(129)), /deeper/);
  assert.match(problemOf(`{"a":${'['.repeat(200_000)}`), /deeper/);
});

test('a body of too many lists, objects or members is refused before it is parsed', async () => {
  const fill = (text: string, bytes: number): Buffer => Buffer.from(`{"x":[${text.repeat(bytes / text.length)}0]}`);
  for (const text of ['[],', '{},', '{"a":1},', '"a":1,']) {
    const started = performance.now();
    const body = await reader.read(fill(text, 31 * 1024 * 1024));
    assert.match('problem' in body ? body.problem : 'none', /more than 100000 lists, objects and members; send less at once/, text);
    // A parser takes 12 s for it.
    assert.ok(performance.now() - started < 2000, `${text} took ${performance.now() - started} ms`);
  }
  assert.match(problemOf(fill('0,', 2 * 1024 * 1024)), /more than 500000 elements/);
  assert.equal(problemOf(fill('[],', 240_000)), 'none');
});

test('a body of more than 1000 fields of its own is refused, and a nested object may have them', async () => {
  const fields = (count: number): string => Array.from({ length: count }, (_, at) => `"f${at}":1`).join(',');
  assert.equal(problemOf(`{${fields(1000)}}`), 'none');
  assert.match(problemOf(`{${fields(1001)}}`), /more than 1000 fields; send less at once/);
  assert.equal(problemOf(`{"metadata":{${fields(2000)}}}`), 'none');
  const large = await reader.read(Buffer.from(`{${fields(1001)},"x":"${'x'.repeat(300_000)}"}`));
  assert.match('problem' in large ? large.problem : 'none', /more than 1000 fields/);
});

test('an object that KeyForge edits may have a MiB, and others more', () => {
  const withObject = (name: string, bytes: number): string => `{"${name}":{"x":"${'x'.repeat(bytes)}"}}`;
  assert.equal(problemOf(withObject('generationConfig', 1_000_000)), 'none');
  assert.match(problemOf(withObject('generationConfig', 1_100_000)), /its field "generationConfig" has more than 1048576 bytes/);
  assert.equal(problemOf(withObject('metadata', 1_100_000)), 'none');
});

test('a batch of 300,000 tokens to embed is read', () => {
  const input = Array.from({ length: 2048 }, () => Array.from({ length: 146 }, (_, at) => at * 600));
  assert.equal(problemOf(JSON.stringify({ model: 'text-embedding-3-small', input })), 'none');
});

/** How many turns the event loop has while this is done. */
async function countTurns<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly turns: number }> {
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const result = await work();
  isDone = true;
  return { result, turns };
}

test('a large body is read like a small one, and the event loop turns while it is', async () => {
  const long = 'aé\u00bd\u{1f600}'.repeat(400_000);
  const dense = { a: Array.from({ length: 20_000 }, () => ({})) };
  assert.ok(JSON.stringify(dense).length < 100_000);
  for (const value of [{ a: long, b: [long, { c: 1 }] }, { a: Array.from({ length: 90_000 }, () => ({})) }, dense]) {
    const bytes = Buffer.from(JSON.stringify(value));
    const { result: inTurns, turns } = await countTurns(async () => reader.read(bytes));
    assert.deepEqual(inTurns, read(bytes));
    assert.deepEqual('problem' in inTurns ? null : inTurns.value, value);
    assert.ok(turns > 2, `${turns} turns for ${bytes.length} bytes`);
  }
});

test('a body that was dropped is parsed again as it was, a large one in turns', async () => {
  const value = { a: Array.from({ length: 20_000 }, (_, at) => ({ at, text: 'x'.repeat(10) })) };
  const large = await reader.read(Buffer.from(JSON.stringify(value)));
  assert.ok(!('problem' in large));
  assert.equal(large.restore(), null, 'nothing was dropped');
  large.drop();
  const { turns } = await countTurns(async () => large.restore());
  assert.ok(turns > 2, `${turns} turns`);
  assert.equal(large.restore(), null);
  assert.deepEqual(large.value, value);
  const small = read('{"a":1}');
  small.drop();
  assert.equal(small.restore(), null);
  assert.deepEqual(small.value, { a: 1 });
});

test('a body of common size is read before a huge one that came first', async () => {
  const ends: string[] = [];
  const readAs = async (name: string, bytes: number): Promise<void> => {
    assert.ok(!('problem' in (await reader.read(Buffer.from(JSON.stringify({ a: 'é'.repeat(bytes / 2) }))))));
    ends.push(name);
  };
  await Promise.all([readAs('huge', 8_000_000), readAs('second', 300_000), readAs('third', 400_000)]);
  assert.deepEqual(ends, ['second', 'third', 'huge']);
});

test('a body of any size is hashed as it is, a large one in turns', async () => {
  for (const bytes of [Buffer.from('{}'), Buffer.alloc(5_000_001, 'x')]) assert.equal(await reader.digest(bytes), hash('sha256', bytes));
});

test('a large body that cannot be read is refused like a small one', async () => {
  const long = ' '.repeat(300_000);
  for (const text of [`{"a":1,"a":2${long}}`, `[${long}]`, `{"a":01${long}}`, `{"a":"${long}`, Buffer.from([0xff, ...Buffer.from(long)])])
    assert.deepEqual(await reader.read(Buffer.from(text as string)), readBody(Buffer.from(text as string)));
});

test('keys of the object prototype are plain data', () => {
  const body = read('{"__proto__":{"model":"x"},"constructor":1,"hasOwnProperty":2}');
  assert.equal(body.value['model'], undefined);
  assert.equal(Object.getPrototypeOf(body.value), Object.prototype);
  assert.equal(body.members.size, 3);
});

test('any object that JSON.stringify writes is read as it was', () => {
  fc.assert(
    fc.property(fc.dictionary(plainKey, fc.jsonValue({ maxDepth: 5 })), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const clean = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
      const body = read(JSON.stringify(clean, null, indent));
      assert.deepEqual(body.value, clean);
      assert.deepEqual([...body.members.keys()].sort(), Object.keys(clean).sort());
    }),
    { numRuns: 200 },
  );
});

const plainKey = fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__' && JSON.stringify(key) === `"${key}"`);

test('an edit changes the member that it names and no other byte', () => {
  const body = read('{"model": "a", "stream_options" :{ }, "x":[1,  2]}');
  const edited = (edits: readonly Edit[]): string => spliceBody(body, edits).toString();
  assert.equal(spliceBody(body, []), body.bytes);
  assert.equal(edited([{ path: ['model'], value: 'b"' }]), '{"model": "b\\"", "stream_options" :{ }, "x":[1,  2]}');
  assert.equal(edited([{ path: ['n'], value: 2 }]), '{"n":2,"model": "a", "stream_options" :{ }, "x":[1,  2]}');
  assert.equal(edited([{ path: ['stream_options', 'u'], value: true }]), '{"model": "a", "stream_options" :{"u":true }, "x":[1,  2]}');
  assert.equal(spliceBody(read('{}'), [{ path: ['a', 'b'], value: 1 }]).toString(), '{"a":{"b":1}}');
  assert.equal(spliceBody(read('{"a":null}'), [{ path: ['a', 'b'], value: 1 }]).toString(), '{"a":{"b":1}}');
  assert.equal(spliceBody(read('{"a":{"b": 1, "c":"}"}}'), [{ path: ['a', 'b'], value: 7 }]).toString(), '{"a":{"b": 7, "c":"}"}}');
});

test('edits of any object give that object with the change, and splice in any number at once', () => {
  const name = fc.constantFrom('model', 'max_tokens', 'n', 'x');
  const inner = fc.dictionary(fc.oneof(name, plainKey), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(name, plainKey), fc.jsonValue({ maxDepth: 3 })),
      fc.option(inner, { nil: undefined }),
      name,
      fc.oneof(fc.string(), fc.integer(), fc.boolean()),
      fc.integer(),
      (value, nested, key, top, deep) => {
        const clean = JSON.parse(JSON.stringify(nested === undefined ? value : { ...value, config: nested })) as Record<string, unknown>;
        if (nested === undefined) delete clean['config'];
        const body = read(JSON.stringify(clean));
        const out = spliceBody(body, [
          { path: [key], value: top },
          { path: ['config', key], value: deep },
        ]);
        const expected = { ...clean, [key]: top, config: { ...(clean['config'] as object | undefined), [key]: deep } };
        assert.deepEqual(JSON.parse(out.toString()), expected);
        assert.deepEqual(read(out).value, expected);
      },
    ),
    { numRuns: 200 },
  );
});

test('the bound of a body is never below its own bytes', () => {
  for (const body of [
    `{"n":${'1'.repeat(1_000_003)}}`,
    `{"n":0.${'0'.repeat(5000)}1}`,
    `{"schema":{${' '.repeat(1_000_000)}"type":"object"}}`,
    `{"key":"${'\\u0041'.repeat(5000)}"}`,
    `${'\n'.repeat(5000)}{}`,
  ])
    assert.ok(read(body).tokens >= body.length, body.slice(0, 40));
});

test('a nested key may be written with escapes, and is found by what it means', () => {
  const body = read('{"generationConfig":{"max\\u004futputTokens":5,"a\\"b":1}}');
  assert.equal(
    spliceBody(body, [{ path: ['generationConfig', 'maxOutputTokens'], value: 2 }]).toString(),
    '{"generationConfig":{"max\\u004futputTokens":2,"a\\"b":1}}',
  );
});
