import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRefusal, type Refusal } from '../../core/errors.ts';
import { anthropicFamily } from './anthropic/family.ts';
import { anthropicCountTokens, anthropicMessages } from './anthropic/messages.ts';
import { geminiFamily } from './gemini/family.ts';
import { geminiCountTokens, geminiEmbed, geminiGenerate } from './gemini/requests.ts';
import { type JsonBody, readBody } from './json.ts';
import { openaiChat } from './openai/chat.ts';
import { openaiEmbeddings } from './openai/embeddings.ts';
import { openaiResponses } from './openai/responses/responses.ts';
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

/** Members of these names break what JavaScript does with an object: its conversion to text or a number, its tests and loops. */
const breaking = fc.constantFrom('toString', 'valueOf', 'toJSON', 'constructor', 'length', 'then', 'includes', 'hasOwnProperty');
const names = fc.constantFrom(
  ...['model', 'messages', 'input', 'contents', 'parts', 'content', 'role', 'type', 'tools', 'max_tokens', 'maxOutputTokens', 'n'],
  ...['service_tier', 'serviceTier', 'thinking', 'thinkingConfig', 'thinkingLevel', 'thinkingBudget', 'generationConfig', 'reasoning'],
  ...['effort', 'modalities', 'responseModalities', 'mediaResolution', 'level', 'numTokens', 'speed', 'provider', 'max_price', 'prompt'],
  ...['cache_control', 'ttl', 'source', 'data', 'mimeType', 'inlineData', 'file', 'image_url', 'max_uses', 'prediction', 'audio'],
);
const { hostile } = fc.letrec((tie) => ({
  hostile: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom<unknown>(null, 0, -1, 2, 'auto', 'high', 'text', '', true),
    fc.array(tie('hostile'), { maxLength: 2 }),
    fc.dictionary(fc.oneof(breaking, names), tie('hostile'), { maxKeys: 3 }),
  ),
}));

test('no request of any shape breaks its reading, or the writing of what was read', () => {
  const changes: Changes = { model: 'm', maxOutputTokens: 9, toolCalls: 1, includeUsage: true, standardTier: true };
  const request = fc.tuple(fc.constantFrom(...minimal.keys()), fc.dictionary(names, hostile, { maxKeys: 4 }));
  fc.assert(
    fc.property(request, ([dialect, more]) => {
      const body = bodyOf(withField(dialect, more));
      const facts = dialect.read(body, action, {});
      if (isRefusal(facts)) return;
      const thinkingTokens = facts.thinking?.kind === 'budget' ? 9 : undefined;
      const written = readBody(dialect.rewrite(body, { ...changes, thinkingTokens, maxPrice: { input: 1, output: 1 } }));
      assert.ok(!('problem' in written), JSON.stringify(written));
    }),
    { numRuns: 3000 },
  );
});

test('a plain request of each dialect demands its text and nothing else', () => {
  for (const [dialect, value] of minimal) {
    const { demand, model } = read(dialect, value);
    assert.equal(model, dialect.family === geminiFamily ? 'gemini-3-pro' : value['model'], dialect.id);
    const { textTokens, cacheWrite, anyOutput, anyPlace, ...rest } = demand;
    assert.ok(textTokens >= JSON.stringify(value).length, dialect.id);
    assert.equal(anyPlace === true, dialect.family === anthropicFamily, dialect.id);
    assert.deepEqual(
      rest,
      {
        ...{ pictures: [], media: {}, features: [], inputReads: 1, toolTokens: 0, choices: 1, extraOutputTokens: 0 },
        ...{ outputs: [], fees: {}, servings: [] },
      },
      dialect.id,
    );
  }
});

test('a model must be named by a string of reasonable length', () => {
  for (const dialect of [openaiChat, openaiResponses, openaiEmbeddings, anthropicMessages]) {
    for (const model of [undefined, null, '', 7, ['gpt-6'], 'x'.repeat(257), '\ud800']) {
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
    // Anthropic fills the cache and generates nothing.
    const nothing = dialect === anthropicMessages ? [] : [0];
    for (const limit of [...nothing, -1, 1.5, '77', true, [77], 2 ** 31, 1e300]) {
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
      [demand.pictures, demand.stored, demand.textTokens < 500, demand.textTokens > 50],
      [[null], undefined, true, true],
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
  assert.deepEqual([demand.pictures, demand.textTokens > image.length], [[], true]);
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
