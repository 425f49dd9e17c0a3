import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropicMessages } from './messages.ts';

const read = (answer: object): unknown => anthropicMessages.readUsage(Buffer.from(JSON.stringify(answer))).usage;
const usage = { input_tokens: 5, output_tokens: 7 };
const plain = { input: 5, cachedInput: 0, cacheWrite: 0, output: 7, reasoning: 0 };

test('the way in which the answer says that it was served is part of its usage', () => {
  assert.deepEqual(read({ usage: { ...usage, speed: 'standard', inference_geo: 'global' } }), plain);
  assert.deepEqual(read({ usage: { ...usage, speed: 'fast', inference_geo: 'us' } }), { ...plain, servings: ['fast', 'us'] });
});

test('a session of code execution is billed where its result shows that there was one', () => {
  const result = { type: 'code_execution_tool_result', tool_use_id: 's', content: {} };
  assert.deepEqual(read({ content: [result], usage }), { ...plain, fees: { container: 1 } });
  assert.deepEqual(read({ content: [{ type: 'text', text: JSON.stringify(result) }], usage }), plain);
});

test('a session into which files were loaded is billed although nothing ran in it', () => {
  assert.deepEqual(read({ container: { id: 'container_1' }, usage }), { ...plain, fees: { container: 1 } });
  assert.deepEqual(read({ container: null, usage }), plain);
});

test('what a compaction writes to the cache for an hour costs that rate', () => {
  const compaction = {
    type: 'compaction',
    input_tokens: 100,
    output_tokens: 50,
    cache_creation_input_tokens: 30,
    cache_creation: { ephemeral_1h_input_tokens: 20, ephemeral_5m_input_tokens: 10 },
  };
  assert.deepEqual(read({ usage: { ...usage, iterations: [compaction] } }), {
    ...plain,
    ...{ input: 105, output: 57, cacheWrite: 30, cacheWrite1h: 20 },
  });
});

test('a stream shows the same', () => {
  const meter = anthropicMessages.meterStream('keep');
  const event = (value: object): void => void meter.push(Buffer.from(`data: ${JSON.stringify(value)}\n\n`));
  event({ type: 'message_start', message: { usage: { ...usage, output_tokens: 1, inference_geo: 'us' } } });
  event({ type: 'content_block_start', index: 0, content_block: { type: 'bash_code_execution_tool_result', content: {} } });
  event({ type: 'message_delta', usage: { output_tokens: 7, server_tool_use: { web_search_requests: 2 } } });
  assert.deepEqual(meter.reading().usage, { ...plain, fees: { webSearch: 2, container: 1 }, servings: ['us'] });
});

test('a stream names its session with its end', () => {
  const meter = anthropicMessages.meterStream('keep');
  const event = (value: object): void => void meter.push(Buffer.from(`data: ${JSON.stringify(value)}\n\n`));
  event({ type: 'message_start', message: { usage, container: null } });
  event({ type: 'message_delta', delta: { container: { id: 'container_1' } }, usage: { output_tokens: 7 } });
  assert.deepEqual(meter.reading().usage, { ...plain, fees: { container: 1 } });
});

test('usage that names one direction alone is none', () => {
  assert.equal(read({ usage: { input_tokens: 5 } }), null);
  assert.equal(read({ usage: { output_tokens: 7 } }), null);
});
