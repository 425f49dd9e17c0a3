import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ElementEnds } from './gemini/ends.ts';
import { type EventEnds, EventSplitter, eventData, memberFinder, SseEnds } from './sse.ts';

function eventsOf(
  chunks: readonly Buffer[],
  ends: EventEnds = new SseEnds(),
): { readonly events: readonly string[]; readonly out: string } {
  const events: string[] = [];
  const splitter = new EventSplitter(ends, (event) => {
    events.push(event.toString());
    return 'keep';
  });
  const out = [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.flush()];
  return { events, out: Buffer.concat(out).toString() };
}

function cut(text: string, at: readonly number[]): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const edges = [0, ...at.map((edge) => edge % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

test('events end at an empty line, with any line ending', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = `data: a${end}${end}: ping${end}${end}event: x${end}data: b${end}data: c${end}${end}`;
    const { events } = eventsOf([Buffer.from(text)]);
    assert.deepEqual(events, [`data: a${end}${end}`, `: ping${end}${end}`, `event: x${end}data: b${end}data: c${end}${end}`]);
  }
});

test('the same events come however the bytes are cut, and leave as they came', () => {
  const event = fc.tuple(
    fc.constantFrom('data: ', 'event: ', ': ', 'data:'),
    fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\n]/.test(text)),
  );
  fc.assert(
    fc.property(fc.array(event), fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat()), (parts, end, edges) => {
      const text = parts.map(([prefix, content]) => `${prefix}${content}${end}${end}`).join('');
      const { events, out } = eventsOf(cut(text, edges));
      assert.equal(out, text);
      assert.equal(events.join(''), text);
      assert.deepEqual(
        events.map((one) => one.replace(/[\r\n]/g, '')),
        parts.map(([prefix, content]) => prefix + content),
      );
    }),
    { numRuns: 200 },
  );
});

test('an unfinished event is held until its end or the end of the stream', () => {
  const splitter = new EventSplitter(new SseEnds(), () => 'keep');
  assert.equal(Buffer.concat(splitter.push(Buffer.from('data: 1\n\ndata: '))).toString(), 'data: 1\n\n');
  assert.deepEqual(splitter.push(Buffer.from('2\n')), []);
  assert.equal(Buffer.concat(splitter.push(Buffer.from('\ndata: 3'))).toString(), 'data: 2\n\n');
  assert.equal(Buffer.concat(splitter.flush()).toString(), 'data: 3');
  assert.deepEqual(splitter.flush(), []);
});

test('whole events leave in the buffer in which they came', () => {
  const splitter = new EventSplitter(new SseEnds(), () => 'keep');
  const chunk = Buffer.from('data: 1\n\ndata: 2\n\n');
  const [out, ...more] = splitter.push(chunk);
  assert.equal(out?.buffer, chunk.buffer);
  assert.deepEqual([out?.length, more.length], [chunk.length, 0]);
});

test('a dropped event leaves no trace, its neighbours stay', () => {
  const splitter = new EventSplitter(new SseEnds(), (event) => (event.includes('b') ? 'drop' : 'keep'));
  const out = [...splitter.push(Buffer.from('data: a\n\ndata: b\n\ndata: c\n\ndata:')), ...splitter.push(Buffer.from(' b\n\ndata: d\n\n'))];
  assert.equal(Buffer.concat(out).toString(), 'data: a\n\ndata: c\n\ndata: d\n\n');
});

test('an event that is too long to hold is forwarded as it comes, and still read', () => {
  const seen: number[] = [];
  const splitter = new EventSplitter(new SseEnds(), (event) => {
    seen.push(event.length);
    return 'drop';
  });
  const piece = Buffer.alloc(100_000, 'x');
  const out = [1, 2, 3, 4].flatMap(() => splitter.push(piece));
  assert.equal(Buffer.concat(out).length, 400_000);
  assert.equal(Buffer.concat(splitter.push(Buffer.from('\n\ndata: y\n\n'))).toString(), '\n\n');
  assert.deepEqual(seen, [400_002, 9]);
});

test('of an event that is too long to hold, the skeleton of its JSON is read', () => {
  const seen: string[] = [];
  const splitter = new EventSplitter(new SseEnds(), (event) => {
    seen.push(event.toString());
    return 'keep';
  });
  const long = Buffer.from(`event: e\ndata: {"a":"${'x'.repeat(17 * 1024 * 1024)}","usage":{"n":1}}\n\ndata: 1\n\n`);
  let passed = 0;
  for (let at = 0; at < long.length; at += 65_536) for (const out of splitter.push(long.subarray(at, at + 65_536))) passed += out.length;
  assert.equal(passed, long.length);
  assert.deepEqual(seen, ['{"a":"","usage":{"n":1}}', 'data: 1\n\n']);
  assert.ok(splitter.hasSkipped);
});

test('an event that never ends is not kept in memory', () => {
  const splitter = new EventSplitter(new SseEnds(), () => assert.fail('it has no end'));
  const piece = Buffer.alloc(1024 * 1024, 'x');
  let passed = 0;
  for (let i = 0; i < 20; i += 1) for (const out of splitter.push(piece)) passed += out.length;
  assert.equal(passed, 20 * piece.length);
  assert.deepEqual(splitter.flush(), []);
});

test('the data of an event is its lines, whatever surrounds them', () => {
  const data = (text: string): string | null => eventData(Buffer.from(text));
  assert.equal(data('data: {"a":1}\n\n'), '{"a":1}');
  assert.equal(data('data:x\r\n\r\n'), 'x');
  assert.equal(data('event: e\ndata: a\ndata:\ndata:  b\nid: 1\n\n'), 'a\n\n b');
  assert.equal(data('\ufeffdata: a\n\n'), 'a');
  assert.equal(data(': ping\n\n'), null);
});

test('a member is found by its bytes only if it is a real member and not null', () => {
  const hasUsage = memberFinder('usage');
  assert.equal(hasUsage('{"usage":{}}'), true);
  assert.equal(hasUsage('{"usage" : 1}'), true);
  assert.equal(hasUsage('{"usage":null,"x":"usage"}'), false);
  assert.equal(hasUsage(JSON.stringify({ text: '"usage":{}' })), false);
  assert.equal(hasUsage('{"my_usage":{}}'), false);
});

test('the elements of a JSON array are events, with what separates them before them', () => {
  const text = '[{"a":"}]\\"["}\n,\r\n{"b":[{}]}\n]\n';
  const whole = eventsOf([Buffer.from(text)], new ElementEnds());
  assert.deepEqual(whole.events, ['[{"a":"}]\\"["}', '\n,\r\n{"b":[{}]}', '\n]', '\n']);
  assert.equal(whole.out, text);
  fc.assert(
    fc.property(fc.array(fc.nat()), (edges) => {
      assert.deepEqual(eventsOf(cut(text, edges), new ElementEnds()), whole);
    }),
    { numRuns: 100 },
  );
});
