import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, type Refusal } from '../../core/errors.ts';
import { anthropicCountTokens, anthropicMessages } from './anthropic/messages.ts';
import { geminiFamily } from './gemini/family.ts';
import { geminiCountTokens, geminiEmbed, geminiGenerate } from './gemini/requests.ts';
import { type JsonBody, readBody } from './json.ts';
import { openaiChat } from './openai/chat.ts';
import { openaiEmbeddings } from './openai/embeddings.ts';
import { openaiResponses } from './openai/responses.ts';
import type { Changes, Dialect, Facts } from './types.ts';

function bodyOf(value: unknown): JsonBody {
  const body = readBody(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
  if ('problem' in body) throw new Error(body.problem);
  return body;
}

const action = { model: 'gemini-3-pro', stream: true };

function read(dialect: Dialect, value: unknown, headers: Record<string, string> = {}): Facts {
  const facts = dialect.read(bodyOf(value), action, headers);
  if (isRefusal(facts)) throw new Error(facts.message);
  return facts;
}

function refused(dialect: Dialect, value: unknown): Refusal {
  const facts = dialect.read(bodyOf(value), action, {});
  if (!isRefusal(facts)) throw new Error(`not refused: ${JSON.stringify(value)}`);
  return facts;
}

function rewritten(dialect: Dialect, value: unknown, changes: Changes): unknown {
  return JSON.parse(dialect.rewrite(bodyOf(value), changes).toString());
}

const minimal = new Map<Dialect, Record<string, unknown>>([
  [openaiChat, { model: 'gpt-6', messages: [{ role: 'user', content: 'Hi' }] }],
  [openaiResponses, { model: 'gpt-6', input: 'Hi' }],
  [openaiEmbeddings, { model: 'embed', input: ['Hi', 'Ho'] }],
  [anthropicMessages, { model: 'claude-sonnet-5', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] }],
  [anthropicCountTokens, { model: 'claude-sonnet-5', messages: [{ role: 'user', content: 'Hi' }] }],
  [geminiGenerate, { contents: [{ parts: [{ text: 'Hi' }] }] }],
  [geminiCountTokens, { contents: [{ parts: [{ text: 'Hi' }] }] }],
  [geminiEmbed, { content: { parts: [{ text: 'Hi' }] } }],
]);

function withField(dialect: Dialect, more: Record<string, unknown>): Record<string, unknown> {
  return { ...minimal.get(dialect), ...more };
}

test('a plain request of each dialect demands its text and nothing else', () => {
  for (const [dialect, value] of minimal) {
    const { demand, model } = read(dialect, value);
    assert.equal(model, dialect.family === geminiFamily ? 'gemini-3-pro' : value['model'], dialect.id);
    const { textTokens, cacheWrite, ...rest } = demand;
    assert.ok(textTokens >= JSON.stringify(value).length, dialect.id);
    assert.deepEqual(
      rest,
      {
        mediaTokens: 0,
        images: 0,
        audioInput: false,
        wholeContext: false,
        inputReads: 1,
        choices: 1,
        audioOutput: false,
        imageOutput: false,
        webSearches: 0,
      },
      dialect.id,
    );
  }
});

test('a model must be named by a string of reasonable length', () => {
  for (const dialect of [openaiChat, openaiResponses, openaiEmbeddings, anthropicMessages]) {
    for (const model of [undefined, null, '', 7, ['gpt-6'], 'x'.repeat(257)]) {
      assert.equal(refused(dialect, withField(dialect, { model })).code, 'invalid_request', `${dialect.id} ${String(model)}`);
    }
  }
});

test('an output limit is a positive integer of reasonable size, in the field of each dialect', () => {
  const limited: readonly (readonly [Dialect, (limit: unknown) => Record<string, unknown>])[] = [
    [anthropicMessages, (limit) => ({ max_tokens: limit })],
    [geminiGenerate, (limit) => ({ generationConfig: { maxOutputTokens: limit } })],
    [geminiGenerate, (limit) => ({ generation_config: { max_output_tokens: limit } })],
  ];
  for (const [dialect, field] of limited) {
    assert.equal(read(dialect, withField(dialect, field(77))).maxOutputTokens, 77);
    assert.equal(read(dialect, withField(dialect, field(null))).maxOutputTokens, undefined);
    for (const limit of [0, -1, 1.5, '77', true, [77], 2 ** 31, 1e300]) {
      assert.equal(refused(dialect, withField(dialect, field(limit))).code, 'invalid_request', `${dialect.id} ${String(limit)}`);
    }
  }
});

test('stream is a boolean, or for Gemini part of the path', () => {
  for (const dialect of [openaiChat, openaiResponses, anthropicMessages]) {
    assert.equal(read(dialect, withField(dialect, { stream: true })).stream, true);
    assert.equal(read(dialect, withField(dialect, { stream: null })).stream, false);
    for (const stream of ['true', 1, {}]) assert.equal(refused(dialect, withField(dialect, { stream })).code, 'invalid_request');
  }
  assert.equal(read(geminiGenerate, minimal.get(geminiGenerate)).stream, true);
});

test('a key that a careless server would read as a governing one is refused', () => {
  for (const key of ['Model', 'MAX_TOKENS', '\u017ftream', 'tool\u017f']) {
    assert.match(refused(openaiChat, withField(openaiChat, { [key]: 1 })).message, /write it exactly so/);
  }
  read(openaiChat, withField(openaiChat, { 'tools ': 1, Metadata: {} }));
  assert.equal(refused(anthropicMessages, withField(anthropicMessages, { Max_Tokens: 1 })).code, 'invalid_request');
});

test('nothing but `model` may choose a model', () => {
  const advisor = { type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-5' };
  const cases: readonly (readonly [Dialect, Record<string, unknown>])[] = [
    [anthropicMessages, { fallbacks: [{ model: 'claude-opus-5' }] }],
    [anthropicMessages, { tools: [advisor] }],
    [
      anthropicMessages,
      { messages: [{ role: 'user', content: [{ type: 'tool_addition', tool: { type: 'tool_definition', definition: advisor } }] }] },
    ],
    [geminiGenerate, { generationConfig: { routingConfig: { autoMode: {} } } }],
  ];
  for (const [dialect, more] of cases) assert.equal(refused(dialect, withField(dialect, more)).code, 'model_denied', JSON.stringify(more));
});

test('a Gemini body that names a model must name the one in the path', () => {
  for (const model of ['gemini-3-pro', 'models/gemini-3-pro']) read(geminiGenerate, withField(geminiGenerate, { model }));
  assert.equal(refused(geminiEmbed, withField(geminiEmbed, { model: 'models/other' })).code, 'invalid_request');
  assert.equal(refused(geminiCountTokens, { generateContentRequest: { model: 'models/other', contents: [] } }).code, 'invalid_request');
});

test('a Gemini field in both spellings is refused at any place that counts', () => {
  const inline = { mimeType: 'image/png', data: 'AAAA' };
  for (const more of [
    { generationConfig: {}, generation_config: {} },
    { generationConfig: { maxOutputTokens: 1, max_output_tokens: 2 } },
    { contents: [{ parts: [{ inlineData: inline, inline_data: inline }] }] },
    { contents: [{ parts: [{ inlineData: { ...inline, mime_type: 'audio/wav' } }] }] },
  ]) {
    assert.match(refused(geminiGenerate, withField(geminiGenerate, more)).message, /given twice/);
  }
});

const image = 'iVBORw0KGgo'.repeat(1000);

test('an inline image counts as an image and not as its base64', () => {
  const cases: readonly (readonly [Dialect, Record<string, unknown>])[] = [
    [
      anthropicMessages,
      { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: image } }] }] },
    ],
    [
      anthropicMessages,
      {
        messages: [
          { role: 'user', content: [{ type: 'tool_result', content: [{ type: 'image', source: { type: 'base64', data: image } }] }] },
        ],
      },
    ],
    [geminiGenerate, { contents: [{ parts: [{ inlineData: { mimeType: 'image/png', data: image } }] }] }],
    [geminiGenerate, { contents: { parts: { inline_data: { mime_type: 'image/png', data: image } } } }],
    [
      geminiGenerate,
      { contents: [{ parts: [{ functionResponse: { parts: [{ inlineData: { mimeType: 'image/png', data: image } }] } }] }] },
    ],
  ];
  for (const [dialect, more] of cases) {
    const { demand } = read(dialect, withField(dialect, more));
    assert.deepEqual(
      [demand.images, demand.wholeContext, demand.textTokens < 500, demand.textTokens > 50],
      [1, false, true, true],
      JSON.stringify(more).slice(0, 200),
    );
  }
});

test('base64 where the provider reads text stays text', () => {
  const block = { type: 'image', source: { type: 'base64', data: image } };
  const { demand } = read(
    anthropicMessages,
    withField(anthropicMessages, { messages: [{ role: 'assistant', content: [{ type: 'tool_use', input: block }] }] }),
  );
  assert.deepEqual([demand.images, demand.textTokens > image.length], [0, true]);
});

test('a payload is taken out of the text at its own bytes, and the rest of the body is never below its own', () => {
  const withImage = (data: string, blanks: string): number => {
    const parts = [{ type: 'image_url', image_url: { url: `data:${data}` } }];
    const request = withField(openaiChat, { messages: [{ role: 'user', content: parts }] });
    return read(openaiChat, `${JSON.stringify(request)}${blanks}`).demand.textTokens;
  };
  const plain = withImage('A'.repeat(3000), '');
  assert.ok(plain > 0 && plain < 500);
  // What normalising would add to a payload is no room for text.
  assert.ok(withImage('\ufdfa'.repeat(1000), '\n'.repeat(40_000)) >= 40_000);
  assert.ok(withImage('A'.repeat(3000), '\n'.repeat(40_000)) >= 40_000);
});

test('what the request does not measure is bounded by the whole context', () => {
  const cases: readonly (readonly [Dialect, Record<string, unknown>])[] = [
    [anthropicMessages, { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'url', url: 'https://x' } }] }] }],
    [
      anthropicMessages,
      {
        messages: [
          { role: 'user', content: [{ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: image } }] },
        ],
      },
    ],
    [anthropicMessages, { thread: { type: 'continue', previous_message_id: 'm' } }],
    [geminiGenerate, { cachedContent: 'cachedContents/1' }],
    [geminiGenerate, { contents: [{ parts: [{ file_data: { file_uri: 'https://x' } }] }] }],
    [geminiGenerate, { contents: [{ parts: [{ inlineData: { mimeType: 'video/mp4', data: image } }] }] }],
  ];
  for (const [dialect, more] of cases) {
    const { demand } = read(dialect, withField(dialect, more));
    assert.deepEqual(
      [demand.wholeContext, demand.unmeterable, demand.textTokens < 500],
      [true, undefined, true],
      JSON.stringify(more).slice(0, 200),
    );
  }
});

test('hosted tools are bounded by the number of their calls, or not at all', () => {
  const search = { type: 'web_search_20250305', name: 'web_search' };
  const cases: readonly (readonly [Dialect, Record<string, unknown>, number | null, number])[] = [
    [
      anthropicMessages,
      {
        tools: [
          { ...search, max_uses: 2 },
          { type: 'web_fetch_20250910', max_uses: 1 },
        ],
      },
      2,
      4,
    ],
    [anthropicMessages, { tools: [{ ...search, max_uses: 'many' }] }, null, 11],
    [anthropicMessages, { messages: [{ role: 'user', content: [{ type: 'tool_addition', tool: { definition: search } }] }] }, null, 11],
    [anthropicMessages, { tools: [{ type: 'tool_search_tool_bm25' }] }, 0, 11],
    [anthropicMessages, { mcp_servers: [{ type: 'url', url: 'https://x' }] }, 0, 11],
    [geminiGenerate, { tools: [{ googleSearch: {} }] }, null, 1],
  ];
  for (const [dialect, more, searches, reads] of cases) {
    const { demand } = read(dialect, withField(dialect, more));
    assert.deepEqual(
      [demand.webSearches, demand.inputReads, demand.wholeContext, demand.unmeterable],
      [searches, reads, true, undefined],
      JSON.stringify(more),
    );
  }
});

test('web searches without a limit are open offers, and their limit is written to the request', () => {
  const anthropic = { type: 'web_search_20250305', name: 'web_search' };
  const cases: readonly (readonly [Dialect, Record<string, unknown>, number, Record<string, unknown>])[] = [
    [
      anthropicMessages,
      { tools: [{ name: 'f', input_schema: {} }, anthropic, { ...anthropic, max_uses: 1 }, { ...anthropic, max_uses: null }] },
      2,
      {
        tools: [
          { name: 'f', input_schema: {} },
          { ...anthropic, max_uses: 4 },
          { ...anthropic, max_uses: 1 },
          { ...anthropic, max_uses: 4 },
        ],
      },
    ],
  ];
  for (const [dialect, more, tools, changed] of cases) {
    const body = withField(dialect, more);
    assert.equal(read(dialect, body).demand.openCalls?.tools, tools, JSON.stringify(more));
    const limited = rewritten(dialect, body, { toolCalls: 4 });
    assert.deepEqual(limited, { ...body, ...changed });
    assert.equal(read(dialect, limited).demand.openCalls, undefined);
  }
});

test('tools that run at the caller’s cost their text only', () => {
  const cases: readonly (readonly [Dialect, Record<string, unknown>])[] = [
    [
      anthropicMessages,
      { tools: [{ name: 'f', input_schema: {} }, { type: 'bash_20250124', name: 'bash' }, { type: 'computer_toolset_20260801' }] },
    ],
    [geminiGenerate, { tools: [{ functionDeclarations: [] }, { computer_use: {} }] }],
  ];
  for (const [dialect, more] of cases) {
    const { demand } = read(dialect, withField(dialect, more));
    assert.deepEqual([demand.wholeContext, demand.unmeterable, demand.inputReads], [false, undefined, 1], JSON.stringify(more));
  }
});

test('what has no bound, or costs more than the standard price, says why', () => {
  const cases: readonly (readonly [Dialect, Record<string, unknown>])[] = [
    [anthropicMessages, { speed: 'fast' }],
    [anthropicMessages, { inference_geo: 'us' }],
    [anthropicMessages, { container: 'c' }],
    [anthropicMessages, { tools: [{ type: 'code_execution_20260120' }] }],
    [anthropicMessages, { tools: [{ type: 'unheard_of_20290101' }] }],
    [anthropicMessages, { context_management: { edits: [{ type: 'compact_20260112' }] } }],
    [geminiGenerate, { serviceTier: 'PRIORITY' }],
    [geminiGenerate, { tools: [{ urlContext: {} }] }],
    [geminiGenerate, { tools: [{ code_execution: {} }] }],
    [geminiGenerate, { tools: [{ unheardOf: {} }] }],
  ];
  for (const [dialect, more] of cases)
    assert.ok(read(dialect, withField(dialect, more)).demand.unmeterable !== undefined, JSON.stringify(more));
  for (const [dialect, more] of [
    [anthropicMessages, { service_tier: 'auto', speed: 'standard', inference_geo: 'global' }],
    [anthropicMessages, { context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } }],
    [geminiGenerate, { serviceTier: 'flex' }],
  ] as const) {
    assert.equal(read(dialect, withField(dialect, more)).demand.unmeterable, undefined, JSON.stringify(more));
  }
});

test('choices, modalities and cache lifetimes are read', () => {
  const gemini = read(
    geminiGenerate,
    withField(geminiGenerate, { generationConfig: { candidateCount: 3, responseModalities: ['image', 'AUDIO'] } }),
  );
  assert.deepEqual([gemini.demand.choices, gemini.demand.imageOutput, gemini.demand.audioOutput], [3, true, true]);
  const spoken = read(geminiGenerate, withField(geminiGenerate, { generationConfig: { responseModalities: 'AUDIO' } }));
  const painted = read(geminiGenerate, withField(geminiGenerate, { generation_config: { response_modalities: [2] } }));
  assert.deepEqual([spoken.demand.audioOutput, painted.demand.imageOutput], [true, true]);
  const cached = (holder: Record<string, unknown>): unknown =>
    read(anthropicMessages, withField(anthropicMessages, holder)).demand.cacheWrite;
  const control = { type: 'ephemeral' };
  assert.equal(cached({}), 'none');
  assert.equal(cached({ cache_control: control }), '5m');
  assert.equal(cached({ system: [{ type: 'text', text: 'x', cache_control: { ...control, ttl: '1h' } }] }), '1h');
  assert.equal(cached({ tools: [{ name: 'f', cache_control: control }] }), '5m');
  const result = { type: 'tool_result', content: [{ type: 'text', text: 'x', cache_control: { ...control, ttl: '1h' } }] };
  assert.equal(cached({ messages: [{ role: 'user', content: [result] }], cache_control: control }), '1h');
});

test('a conversation keeps its affinity from turn to turn, and its own name comes first', () => {
  const turn = (
    dialect: Dialect,
    field: string,
    turns: readonly unknown[],
    headers: Record<string, string> = {},
    more = {},
  ): string | undefined => read(dialect, withField(dialect, { [field]: turns, ...more }), headers).affinity;
  for (const [dialect, field, one, two] of [
    [openaiChat, 'messages', { role: 'user', content: 'Hello there' }, { role: 'assistant', content: 'Hi' }],
    [
      openaiResponses,
      'input',
      { role: 'user', content: [{ type: 'input_text', text: 'Hello there' }] },
      { role: 'assistant', content: 'Hi' },
    ],
    [anthropicMessages, 'messages', { role: 'user', content: 'Hello there' }, { role: 'assistant', content: 'Hi' }],
    [geminiGenerate, 'contents', { parts: [{ text: 'Hello there' }] }, { role: 'model', parts: [{ text: 'Hi' }] }],
  ] as const) {
    const first = turn(dialect, field, [one]);
    assert.ok(first);
    assert.equal(turn(dialect, field, [one, two]), first);
    assert.notEqual(turn(dialect, field, [two]), first);
    const session = turn(dialect, field, [one], { 'session-id': 's' });
    assert.notEqual(session, first);
    assert.equal(turn(dialect, field, [two], { 'session-id': 's' }), session);
    assert.notEqual(turn(dialect, field, [one], { 'session-id': 's' }, { prompt_cache_key: 'k' }), session);
  }
});

test('a rewrite sets the model, the limit under the caller’s own name, and the usage chunk', () => {
  const changes: Changes = { model: 'up', maxOutputTokens: 5 };
  assert.deepEqual(rewritten(anthropicMessages, { model: 'a', max_tokens: 9 }, changes), { max_tokens: 5, model: 'up' });
  assert.deepEqual(rewritten(anthropicCountTokens, { model: 'a' }, changes), { model: 'up' });
  assert.deepEqual(rewritten(geminiGenerate, {}, changes), { generationConfig: { maxOutputTokens: 5 } });
  assert.deepEqual(rewritten(geminiGenerate, { generation_config: { max_output_tokens: 9 } }, changes), {
    generation_config: { max_output_tokens: 5 },
  });
  assert.deepEqual(rewritten(geminiGenerate, { model: 'models/a', generationConfig: {} }, changes), {
    model: 'models/up',
    generationConfig: { maxOutputTokens: 5 },
  });
  assert.deepEqual(rewritten(geminiCountTokens, { generateContentRequest: { model: 'a' } }, changes), {
    generateContentRequest: { model: 'up' },
  });
});

test('without a change every dialect gives the very bytes it got', () => {
  for (const [dialect, value] of minimal) {
    const body = bodyOf(value);
    assert.equal(dialect.rewrite(body, {}), body.bytes);
  }
});

test('bodies of odd shapes are read or refused, never a crash', () => {
  const odd = [null, 0, '', 'x', true, [], [[]], [null], {}, { content: null }, [{ content: [null, 1, [], {}] }], [{ parts: [null, {}] }]];
  const fields = [
    'messages',
    'input',
    'contents',
    'content',
    'tools',
    'system',
    'systemInstruction',
    'generationConfig',
    'stream_options',
    'modalities',
    'context_management',
    'metadata',
  ];
  for (const [dialect, value] of minimal) {
    for (const field of fields) for (const shape of odd) dialect.read(bodyOf({ ...value, [field]: shape }), action, {});
  }
});
