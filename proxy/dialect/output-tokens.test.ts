import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generatedTokens } from './answer.ts';
import { dialects } from './table.ts';
import type { StreamMeter } from './types.ts';

/** A meter that counts, after these events. */
function counted(id: keyof typeof dialects, events: readonly object[]): StreamMeter {
  const meter = dialects[id].meterStream('keep');
  meter.countOutput();
  for (const event of events) meter.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  return meter;
}

test('no text that a model generated is counted with fewer tokens than its bytes, wherever an event holds it', () => {
  const wraps: readonly ((text: string) => object)[] = [
    (content) => ({ choices: [{ delta: { content } }] }),
    (reasoning_content) => ({ choices: [{ delta: { reasoning_content } }] }),
    (name) => ({ choices: [{ delta: { tool_calls: [{ id: 'x', function: { name, arguments: '' } }] } }] }),
    (text) => ({ choices: [{ delta: { tool_calls: [{ function: { arguments: text } }] } }] }),
    (field) => ({ choices: [{ delta: { of_a_new_kind: { nested: [field] } } }] }),
    (partial_json) => ({ type: 'content_block_delta', delta: { type: 'input_json_delta', partial_json } }),
    (text) => ({ candidates: [{ content: { parts: [{ text }] } }] }),
    (q) => ({ candidates: [{ content: { parts: [{ functionCall: { name: 'f', args: { q, n: 1.5 } } }] } }] }),
  ];
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...wraps), (text, wrap) => {
      assert.ok(generatedTokens(wrap(text)) >= Buffer.byteLength(text));
    }),
  );
});

test('names and ids of the server are no output, and an event costs four tokens beside its text and four for each text', () => {
  const chunk = { id: 'chatcmpl-0123456789', object: 'chat.completion.chunk', model: 'a-long-name', system_fingerprint: 'fp_1' };
  assert.equal(generatedTokens({ ...chunk, choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'stop' }] }), 4);
  assert.equal(generatedTokens({ ...chunk, choices: [{ index: 0, delta: { content: 'höhe' } }] }), 4 + 4 + 5);
  assert.equal(generatedTokens('no JSON'), 4 + 7);
});

test('numbers in arguments that arrive as JSON count as they are written', () => {
  assert.equal(generatedTokens({ functionCall: { args: { n: 12345678901 } } }), 4 + 4 + '{"n":12345678901}'.length);
});

test('a Responses stream counts its text once, although later events repeat it, and what only its last event holds', () => {
  const text = 'x'.repeat(1000);
  const output = [{ type: 'message', content: [{ type: 'output_text', text }] }];
  const last = { type: 'response.completed', response: { output } };
  const repeated = [
    { type: 'response.output_text.delta', delta: text },
    { type: 'response.output_text.done', text },
    { type: 'response.content_part.done', part: { text } },
    last,
  ];
  for (const events of [repeated, [last]]) {
    const { outputTokens } = counted('openai.responses', events);
    assert.ok(outputTokens !== null && outputTokens >= 1000 && outputTokens < 1030, String(outputTokens));
  }
});

test('a Gemini stream that is one array counts like events', () => {
  const meter = dialects['gemini.generateContent'].meterStream('keep');
  meter.countOutput();
  meter.push(Buffer.from('[{"candidates":[{"content":{"parts":[{"text":"Hello"}]}}]},\r\n{"candidates":[{"finishReason":"STOP"}]}]'));
  assert.deepEqual([meter.outputTokens, meter.ended, meter.complete], [17, true, false]);
});

test('a stream with an event that was too long to read is not counted', () => {
  const meter = counted('openai.chat', []);
  meter.push(Buffer.from(`data: "${'x'.repeat(17 * 1024 * 1024)}`));
  assert.equal(meter.outputTokens, 0);
  meter.push(Buffer.from('"\n\n'));
  assert.equal(meter.outputTokens, null);
});

test('a meter that nobody asked to count has no count', () => {
  const meter = dialects['openai.chat'].meterStream('keep');
  meter.push(Buffer.from('data: {"choices":[{"delta":{"content":"a"}}]}\n\n'));
  assert.equal(meter.outputTokens, null);
});

test('usage at the start of an Anthropic stream alone is not its final usage', () => {
  const events = [
    { type: 'message_start', message: { usage: { input_tokens: 9, output_tokens: 1 } } },
    { type: 'content_block_delta', delta: { type: 'text_delta', text: 'a' } },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
    { type: 'message_stop' },
  ];
  const meter = counted('anthropic.messages', events);
  assert.deepEqual([meter.complete, meter.ended, meter.reading().usage?.output], [false, true, 1]);
});

test('an event that nests too deep has no bound', () => {
  assert.equal(generatedTokens(JSON.parse(`${'['.repeat(100)}"a"${']'.repeat(100)}`)), Number.POSITIVE_INFINITY);
});
