import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { meterLarge } from './meter.ts';
import { Skeleton } from './skeleton.ts';
import { dialects } from './table.ts';

function skeletonOf(text: string, pieceBytes: number): Skeleton {
  const skeleton = new Skeleton();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) skeleton.push(bytes.subarray(at, at + pieceBytes));
  return skeleton;
}

/** What a skeleton must keep of a value, by the simplest means. */
function expected(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.byteLength(JSON.stringify(value)) - 2 > 256 ? '' : value;
  if (Array.isArray(value)) return value.filter((element) => typeof element !== 'number').map(expected);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, expected(member)]));
}

const strings = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\\', '"', '\\"', '\\\\', 'é'.repeat(300), '\\"'.repeat(200)));
const key = fc.string({ maxLength: 5 }).filter((name) => name !== '__proto__');
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    strings,
    fc.double({ noDefaultInfinity: true, noNaN: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('json')),
    fc.dictionary(key, tie('json'), { noNullPrototype: true }),
  ),
}));

test('a skeleton has every member, but no long string and no number of a list, however its bytes arrive', () => {
  const roots = fc.oneof(fc.array(json), fc.dictionary(key, json, { noNullPrototype: true }));
  fc.assert(
    fc.property(roots, fc.integer({ min: 1, max: 40 }), fc.boolean(), (value, pieceBytes, spaced) => {
      const skeleton = skeletonOf(spaced ? JSON.stringify(value, null, 2) : JSON.stringify(value), pieceBytes);
      assert.deepEqual(JSON.parse(skeleton.text()?.toString() ?? ''), JSON.parse(JSON.stringify(expected(value))));
      assert.ok(skeleton.isWhole);
    }),
  );
});

test('text that keeps growing without long strings has no skeleton, and costs no memory', () => {
  const skeleton = skeletonOf(`[${'{"a":"b"},'.repeat(200_000)}`, 65_536);
  assert.equal(skeleton.text(), null);
  assert.equal(skeleton.isWhole, false);
});

const picture = 'iVBORw0KGgo'.repeat(100_000);
const vectors = Array.from({ length: 2000 }, (_, i) => ({ embedding: Array.from({ length: 300 }, (_, j) => (i - j) / 7) }));

/** Large answers of each dialect, the last number of each the output tokens of its usage. */
const answers = {
  'openai.chat': { choices: [{ message: { audio: { data: picture } } }], usage: { prompt_tokens: 3, completion_tokens: 7 } },
  'openai.responses': {
    output: [
      { type: 'image_generation_call', result: picture },
      { type: 'web_search_call', action: { type: 'search' } },
    ],
    usage: { input_tokens: 3, output_tokens: 7 },
  },
  'openai.embeddings': { data: vectors, usage: { prompt_tokens: 3, total_tokens: 3 } },
  'anthropic.messages': { content: [{ type: 'text', text: picture }], usage: { input_tokens: 3, output_tokens: 7 } },
  'gemini.generateContent': {
    candidates: [{ content: { parts: [{ inlineData: { data: picture }, thoughtSignature: picture }] } }],
    usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 7, totalTokenCount: 10 },
  },
} as const;

for (const [id, answer] of Object.entries(answers)) {
  test(`a large answer of ${id} is read as it passes like one that is held, with its usage first or last`, () => {
    const { readUsage } = dialects[id as keyof typeof answers];
    for (const members of [Object.entries(answer), Object.entries(answer).reverse()]) {
      const bytes = Buffer.from(JSON.stringify(Object.fromEntries(members)));
      const meter = meterLarge(readUsage);
      for (let at = 0; at < bytes.length; at += 65_536) meter.push(bytes.subarray(at, at + 65_536));
      assert.ok(meter.complete);
      assert.deepEqual(meter.reading(), readUsage(bytes));
      assert.equal(meter.reading().usage?.input, 3);
    }
  });
}

test('usage that generated text only quotes is no usage', () => {
  const text = '{"usage":{"prompt_tokens":0,"completion_tokens":0}}';
  const meter = meterLarge(dialects['openai.chat'].readUsage);
  meter.push(Buffer.from(JSON.stringify({ choices: [{ message: { content: text, usage: { prompt_tokens: 0 } } }] })));
  assert.ok(meter.complete);
  assert.equal(meter.reading().usage, null);
});
