import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Usage } from '../../../core/price/types.ts';
import type { Dialect, Reading } from '../types.ts';
import { openaiChat } from './chat.ts';
import { openaiEmbeddings } from './embeddings.ts';
import { openaiResponses } from './responses/responses.ts';

type Body = Readonly<Record<string, unknown>>;

const chatCounts = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
const responseCounts = { input_tokens: 100, output_tokens: 20, total_tokens: 120 };

/** The reading of a whole answer, and that of the same answer as the last event of a stream: they must agree. */
function readings(dialect: Dialect, answer: Body): Reading {
  const whole = dialect.readUsage(Buffer.from(JSON.stringify(answer)));
  const meter = dialect.meterStream('keep');
  const event = dialect === openaiChat ? { ...answer, choices: [] } : { type: 'response.completed', response: answer };
  meter.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  meter.flush();
  assert.deepEqual(meter.reading(), whole);
  return whole;
}

function chat(usage: Body, more: Body = {}): Reading {
  return readings(openaiChat, { usage: { ...chatCounts, ...usage }, ...more });
}

function response(more: Body, usage: Body = {}): Reading {
  return readings(openaiResponses, { usage: { ...responseCounts, ...usage }, ...more });
}

function usageOf({ usage }: Reading): Usage {
  if (usage === null) throw new Error('no usage');
  return usage;
}

test('the tier that served the call decides its price', () => {
  for (const [tier, servings] of [
    ['priority', ['priority']],
    ['fast', ['priority']],
    ['flex', ['flex']],
    ['ultrafast', ['fast']],
    ['default', undefined],
    ['on_demand', undefined],
    [null, undefined],
    [7, undefined],
  ] as const) {
    assert.deepEqual(usageOf(chat({}, { service_tier: tier })).servings, servings, String(tier));
    assert.deepEqual(usageOf(response({ service_tier: tier })).servings, servings, String(tier));
  }
});

test('searches are billed by the type of the tool', () => {
  const output = [
    { type: 'web_search_call', action: { type: 'search' } },
    { type: 'web_search_call' },
    { type: 'web_search_call', action: { type: 'open_page' } },
    { type: 'web_search_call', action: { type: 'find_in_page' } },
  ];
  assert.deepEqual(usageOf(response({ output })).fees, { webSearch: 2 });
  assert.deepEqual(usageOf(response({ output, tools: [{ type: 'web_search' }] })).fees, { webSearch: 2 });
  assert.deepEqual(usageOf(response({ output, tools: [{ type: 'web_search_preview_2025_03_11' }] })).fees, { webSearchPreview: 2 });
  const group = { type: 'namespace', tools: [{ type: 'web_search_preview' }] };
  assert.deepEqual(usageOf(response({ output, tools: [{ type: 'function' }, group] })).fees, { webSearchPreview: 2 });
  assert.deepEqual(usageOf(chat({ server_tool_use_details: { web_search_requests: 3 } })).fees, { webSearch: 3 });
  assert.equal(usageOf(response({ output: [] })).fees, undefined);
});

test('file searches count by the call, and containers by the session and its memory', () => {
  const output = [
    { type: 'file_search_call' },
    { type: 'file_search_call' },
    { type: 'code_interpreter_call', container_id: 'a' },
    { type: 'code_interpreter_call', container_id: 'a' },
    { type: 'shell_call', environment: { type: 'container_reference', container_id: 'b' } },
    { type: 'shell_call', environment: { type: 'local' } },
  ];
  assert.deepEqual(usageOf(response({ output })).fees, { fileSearch: 2, container: 2 });
  const tools = [{ type: 'code_interpreter', container: { type: 'auto', memory_limit: '4g' } }];
  assert.deepEqual(usageOf(response({ output, tools })).fees, { fileSearch: 2, container: 8 });
});

test('OpenRouter’s own figure is kept, with what its upstream billed to a key of the account’s', () => {
  assert.equal(chat({ cost: 0.005214 }).namedCostNano, 5_214_000);
  assert.equal(chat({ cost: 0 }).namedCostNano, 0);
  assert.equal(chat({ cost: 0.1, is_byok: true, cost_details: { upstream_inference_cost: 0.2 } }).namedCostNano, 300_000_000);
  assert.equal(chat({ cost: 0.1, is_byok: false, cost_details: { upstream_inference_cost: 0.2 } }).namedCostNano, 100_000_000);
  assert.equal(response({}, { cost: 1e-9 }).namedCostNano, 1);
  for (const cost of [undefined, null, -1, '0.1', 1e300]) assert.equal(chat({ cost }).namedCostNano, undefined, String(cost));
  const embedded = openaiEmbeddings.readUsage(Buffer.from(JSON.stringify({ usage: { prompt_tokens: 8, total_tokens: 8, cost: 0.002 } })));
  assert.equal(embedded.namedCostNano, 2_000_000);
});

test('a response’s id is kept, by which a later request may continue it', () => {
  assert.equal(response({ id: 'resp_1' }).answerId, 'resp_1');
  assert.equal(response({ id: 7 }).answerId, undefined);
  assert.equal(chat({}, { id: 'chatcmpl-1' }).answerId, undefined);
});

test('modalities and cache lifetimes are parts of their classes', () => {
  const usage = usageOf(
    chat({
      prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 40, audio_tokens: 30, image_tokens: 12 },
      completion_tokens_details: { audio_tokens: 5, image_tokens: 6 },
    }),
  );
  assert.deepEqual(usage, {
    input: 50,
    cachedInput: 10,
    cacheWrite: 40,
    output: 20,
    reasoning: 0,
    inputAudio: 30,
    inputImage: 12,
    outputAudio: 5,
    outputImage: 6,
  });
  const written = response(
    {},
    { input_tokens_details: { cache_write_tokens: 40, cache_write_tokens_details: { ttl_30m_tokens: 15, ttl_12h_tokens: 25 } } },
  );
  assert.deepEqual([usageOf(written).cacheWrite, usageOf(written).cacheWrite1h], [40, 25]);
});

test('usage of embeddings is whole without output', () => {
  const answer = Buffer.from(JSON.stringify({ data: [], usage: { prompt_tokens: 100 } }));
  assert.equal(openaiEmbeddings.readUsage(answer).usage?.input, 100);
});

test('usage that names no output is none, unless it names the total', () => {
  assert.equal(readings(openaiChat, { usage: { prompt_tokens: 100 } }).usage, null);
  assert.equal(readings(openaiResponses, { usage: { input_tokens: 100 } }).usage, null);
  assert.equal(readings(openaiChat, { usage: { prompt_tokens: 100, total_tokens: 120 } }).usage?.output, 20);
});
