import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anthropicCountTokens, anthropicMessages } from './anthropic/messages.ts';
import { geminiEmbed, geminiGenerate } from './gemini/requests.ts';
import { openaiChat } from './openai/chat.ts';
import { openaiEmbeddings } from './openai/embeddings.ts';
import { openaiResponses } from './openai/responses/responses.ts';
import type { Fate } from './sse.ts';
import type { Dialect, StreamMeter } from './types.ts';

function data(value: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
}

function typed(value: { readonly type: string } & Record<string, unknown>): string {
  return data(value, value.type);
}

function meterOf(
  dialect: Dialect,
  events: readonly string[],
  usageChunk: Fate = 'keep',
): { readonly meter: StreamMeter; readonly out: string; readonly phases: readonly string[] } {
  const meter = dialect.meterStream(usageChunk);
  const phases: string[] = [];
  const out = events.flatMap((event) => {
    const pieces = meter.push(Buffer.from(event));
    phases.push(meter.phase);
    return pieces;
  });
  return { meter, out: Buffer.concat([...out, ...meter.flush()]).toString(), phases };
}

const word = {
  id: 'c',
  model: 'gpt-5.4-mini-2026',
  choices: [{ index: 0, delta: { content: '"usage":{"prompt_tokens":9}' }, finish_reason: null }],
  usage: null,
};
const counted = {
  id: 'c',
  choices: [],
  usage: {
    prompt_tokens: 30,
    completion_tokens: 9,
    total_tokens: 39,
    prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5 },
    completion_tokens_details: { reasoning_tokens: 4 },
  },
};
const chatClasses = { input: 15, cachedInput: 10, cacheWrite: 5, output: 9, reasoning: 4 };

test('a chat stream is content from its first choice on, and complete with [DONE] or with its usage', () => {
  const empty = { model: '', choices: [], prompt_filter_results: [] };
  const { meter, phases } = meterOf(openaiChat, [': OPENROUTER PROCESSING\n\n', data(empty), data(word), data(counted)]);
  assert.deepEqual(phases, ['preamble', 'preamble', 'content', 'content']);
  assert.deepEqual(meter.reading(), { usage: chatClasses, servedModel: 'gpt-5.4-mini-2026' });
  assert.equal(meter.complete, true);
  assert.equal(meterOf(openaiChat, [data(word)]).meter.complete, false);
  const done = meterOf(openaiChat, [data(word), data('[DONE]')]).meter;
  assert.deepEqual([done.complete, done.reading().usage], [true, null]);
});

test('the usage chunk that the client did not request is hidden; one with content or an error is not', () => {
  const both = { ...word, usage: counted.usage };
  const failed = { ...counted, error: { message: 'no', code: 502 } };
  const events = [data(word), data(both), data(failed), data(counted), data('[DONE]')];
  assert.equal(meterOf(openaiChat, events, 'drop').out, [events[0], events[1], events[2], events[4]].join(''));
  assert.equal(meterOf(openaiChat, events, 'keep').out, events.join(''));
});

test('usage with every chunk ends a chat stream only with the last', () => {
  const running = { ...word, usage: counted.usage };
  assert.equal(meterOf(openaiChat, [data(running)]).meter.complete, false);
  const last = { ...running, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  assert.equal(meterOf(openaiChat, [data(running), data(last)]).meter.complete, true);
});

test('an error in a stream is classified by its position', () => {
  const error = { message: 'Over', type: 'server_error', code: null };
  const early = meterOf(openaiChat, [data({ error })]).meter;
  assert.deepEqual([early.phase, early.errorBody, early.complete], ['error', JSON.stringify({ error }), false]);
  const late = meterOf(openaiChat, [data(word), data({ error })]).meter;
  assert.deepEqual([late.phase, late.errorBody], ['content', JSON.stringify({ error })]);
});

test('a Responses stream has its usage in its last event, whatever its echoes hold', () => {
  const echo = { tools: [{ parameters: { properties: { usage: { input_tokens: 9 } } } }], usage: null, error: null };
  const response = {
    model: 'gpt-6',
    usage: {
      input_tokens: 8,
      output_tokens: 3,
      input_tokens_details: { cached_tokens: 2 },
      output_tokens_details: { reasoning_tokens: 1 },
    },
  };
  const output = [
    { type: 'web_search_call', action: { type: 'search' } },
    { type: 'web_search_call', action: { type: 'open_page' } },
    { type: 'message' },
  ];
  for (const type of ['response.completed', 'response.incomplete']) {
    const { meter, phases } = meterOf(openaiResponses, [
      typed({ type: 'response.created', response: echo }),
      data({ response: echo, type: 'response.in_progress' }),
      typed({ type: 'response.output_text.delta', delta: 'error' }),
      typed({ type, response: { ...echo, ...response, output } }),
    ]);
    assert.deepEqual(phases, ['preamble', 'preamble', 'content', 'content']);
    const usage = { input: 6, cachedInput: 2, cacheWrite: 0, output: 3, reasoning: 1, fees: { webSearch: 1 } };
    assert.deepEqual([meter.reading(), meter.complete, meter.errorBody], [{ usage, servedModel: 'gpt-6' }, true, undefined]);
  }
});

test('the three forms of a Responses error give one shape', () => {
  const error = { code: 'insufficient_quota', message: 'No money' };
  const forms = [
    typed({ type: 'error', error }),
    typed({ type: 'error', ...error, param: null }),
    typed({ type: 'response.failed', response: { error, usage: null } }),
  ];
  for (const form of forms) {
    const { meter } = meterOf(openaiResponses, [typed({ type: 'response.created', response: {} }), form]);
    assert.equal(meter.phase, 'error');
    const body = JSON.parse(meter.errorBody ?? '') as { error: Record<string, unknown> };
    assert.deepEqual([body.error['code'], body.error['message']], ['insufficient_quota', 'No money']);
  }
});

test('an Anthropic stream keeps the last figure that is not null, and sums none', () => {
  const start = {
    input_tokens: 43,
    cache_creation_input_tokens: 20,
    cache_read_input_tokens: 7,
    output_tokens: 1,
    cache_creation: { ephemeral_5m_input_tokens: 5, ephemeral_1h_input_tokens: 15 },
  };
  const { meter, phases } = meterOf(anthropicMessages, [
    typed({ type: 'message_start', message: { model: 'claude-sonnet-5', usage: start } }),
    typed({ type: 'message_start', message: { model: 'claude-sonnet-5', usage: start } }),
    typed({ type: 'ping' }),
    typed({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    typed({
      type: 'message_delta',
      delta: {},
      usage: {
        input_tokens: 61,
        output_tokens: 9,
        cache_read_input_tokens: null,
        output_tokens_details: { thinking_tokens: 3 },
        server_tool_use: { web_search_requests: 2 },
      },
    }),
    typed({ type: 'message_stop' }),
  ]);
  assert.deepEqual(phases, ['preamble', 'preamble', 'preamble', 'content', 'content', 'content']);
  const usage = { input: 61, cachedInput: 7, cacheWrite: 20, output: 9, reasoning: 3, cacheWrite1h: 15, fees: { webSearch: 2 } };
  assert.deepEqual([meter.reading(), meter.complete], [{ usage, servedModel: 'claude-sonnet-5' }, true]);
});

test('an Anthropic stream that breaks off is not complete, and an error event says so', () => {
  const start = typed({ type: 'message_start', message: { model: 'm', usage: { input_tokens: 4, output_tokens: 1 } } });
  const cutOff = meterOf(anthropicMessages, [start, 'event: content_block_delta\ndata: {"type":"content_']).meter;
  assert.deepEqual([cutOff.complete, cutOff.reading().usage?.input], [false, 4]);
  const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };
  const failed = meterOf(anthropicMessages, [start, typed(error)]).meter;
  assert.deepEqual([failed.phase, failed.errorBody], ['error', JSON.stringify(error)]);
});

test('tokens of a compaction are billed beside the totals', () => {
  const compaction = {
    type: 'compaction',
    input_tokens: 100,
    output_tokens: 50,
    cache_read_input_tokens: 1,
    cache_creation_input_tokens: 2,
  };
  const usage = { input_tokens: 10, output_tokens: 5, iterations: [compaction, { type: 'message', input_tokens: 10, output_tokens: 5 }] };
  const read = anthropicMessages.readUsage(Buffer.from(JSON.stringify({ model: 'm', usage })));
  assert.deepEqual(read.usage, { input: 110, cachedInput: 1, cacheWrite: 2, output: 55, reasoning: 0 });
});

const geminiChunks = [
  {
    candidates: [{ content: { parts: [{ functionCall: { name: 'f', args: { usageMetadata: { promptTokenCount: 1 }, error: {} } } }] } }],
    usageMetadata: { trafficType: 'ON_DEMAND' },
  },
  {
    candidates: [{ content: { parts: [{ text: 'Hié' }] }, finishReason: 'STOP', groundingMetadata: { webSearchQueries: ['a', 'b'] } }],
    modelVersion: 'gemini-3-pro',
    usageMetadata: {
      promptTokenCount: 100,
      cachedContentTokenCount: 40,
      candidatesTokenCount: 10,
      thoughtsTokenCount: 5,
      toolUsePromptTokenCount: 30,
      totalTokenCount: 145,
      promptTokensDetails: [
        { modality: 'TEXT', tokenCount: 20 },
        { modality: 'AUDIO', tokenCount: 50 },
        { modality: 'IMAGE', tokenCount: 30 },
      ],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 40 }],
      candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 8 }],
    },
  },
];
const geminiClasses = {
  input: 90,
  cachedInput: 40,
  cacheWrite: 0,
  output: 15,
  reasoning: 5,
  inputAudio: 10,
  inputImage: 30,
  cachedInputAudio: 40,
  outputImage: 8,
  fees: { webSearch: 2, groundedPrompt: 1 },
};

test('a Gemini stream is read alike as events and as one array, in any pieces', () => {
  const events = geminiChunks.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join('');
  const array = `[${geminiChunks.map((chunk) => JSON.stringify(chunk, null, 2)).join('\n,\r\n')}\n]\n`;
  for (const [text, framing] of [
    [events, 'sse'],
    [array, 'array'],
  ] as const) {
    for (const size of [1, 2, 7, 100_000]) {
      const bytes = Buffer.from(text);
      const meter = geminiGenerate.meterStream('drop');
      const out: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) out.push(...meter.push(bytes.subarray(at, at + size)));
      assert.ok(Buffer.concat([...out, ...meter.flush()]).equals(bytes));
      assert.deepEqual(
        [meter.reading(), meter.complete, meter.framing, meter.phase],
        [{ usage: geminiClasses, servedModel: 'gemini-3-pro' }, true, framing, 'content'],
      );
    }
  }
});

test('a blocked prompt ends a Gemini stream, and a bare error fails it', () => {
  const blocked = meterOf(geminiGenerate, [
    data({ promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 3, totalTokenCount: 3 } }),
  ]).meter;
  assert.deepEqual([blocked.phase, blocked.complete, blocked.reading().usage?.input], ['content', true, 3]);
  for (const text of ['{\n  "error": {\n    "code": 503\n  }\n}\n', '[{"error": {"code": 503}}]', 'data: {"error":{"code":503}}\r\n\r\n']) {
    const { meter } = meterOf(geminiGenerate, [text]);
    assert.deepEqual([meter.errorBody, meter.complete], ['{"error":{"code":503}}', false], text);
  }
});

test('whole answers are read; zero counts, nothing is null', () => {
  const read = (dialect: Dialect, value: unknown): unknown => dialect.readUsage(Buffer.from(JSON.stringify(value)));
  const zero = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 };
  assert.deepEqual(read(openaiChat, { model: 'm', usage: { prompt_tokens: 0, completion_tokens: 0 } }), { usage: zero, servedModel: 'm' });
  assert.deepEqual(read(openaiChat, { model: 'm', usage: null }), { usage: null, servedModel: 'm' });
  // An entry carries neither half of a surrogate pair nor a name without end.
  assert.deepEqual(read(openaiChat, { model: `\ud800${'x'.repeat(300)}` }), { usage: null, servedModel: `\ufffd${'x'.repeat(255)}` });
  assert.deepEqual(read(openaiChat, { error: { code: 502 } }), { usage: null, errorBody: '{"error":{"code":502}}' });
  assert.deepEqual(read(openaiEmbeddings, { model: 'e', usage: { prompt_tokens: 8, total_tokens: 8 } }), {
    usage: { ...zero, input: 8 },
    servedModel: 'e',
  });
  assert.deepEqual(read(openaiResponses, { model: 'm', usage: { input_tokens: 1, output_tokens: 2 } }), {
    usage: { ...zero, input: 1, output: 2 },
    servedModel: 'm',
  });
  assert.deepEqual(read(anthropicMessages, { model: 'm', usage: { input_tokens: 0, output_tokens: 0 } }), {
    usage: zero,
    servedModel: 'm',
  });
  assert.deepEqual(read(anthropicCountTokens, { input_tokens: 9 }), { usage: null });
  assert.deepEqual(read(geminiEmbed, { embedding: {}, usageMetadata: { promptTokenCount: 4 } }), { usage: { ...zero, input: 4 } });
  assert.deepEqual(read(geminiEmbed, { embedding: {} }), { usage: null });
  assert.deepEqual(openaiChat.readUsage(Buffer.from('<html>')), { usage: null });
});

test('servers that count beside the standard are read by their totals', () => {
  const usage = (value: unknown): unknown => openaiChat.readUsage(Buffer.from(JSON.stringify({ usage: value }))).usage;
  const audio = { prompt_tokens: 9, completion_tokens: 201, total_tokens: 585, prompt_tokens_details: { audio_tokens: 375 } };
  assert.deepEqual(usage(audio), { input: 384, cachedInput: 0, cacheWrite: 0, output: 201, reasoning: 0, inputAudio: 375 });
  assert.deepEqual(usage({ prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 }), {
    input: 35,
    cachedInput: 0,
    cacheWrite: 0,
    output: 74,
    reasoning: 62,
  });
  const cached = { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8, prompt_tokens_details: { cached_tokens: 163 } };
  assert.deepEqual(usage(cached), { input: 0, cachedInput: 163, cacheWrite: 0, output: 1, reasoning: 0 });
});
