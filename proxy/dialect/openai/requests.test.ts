import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import { type Demand, reopened, withCalls } from '../../../core/price/demand.ts';
import { stringBound, valueBound } from '../../../core/price/text.ts';
import { type JsonBody, readBody } from '../json.ts';
import type { Changes, Dialect, Facts } from '../types.ts';
import { openaiChat } from './chat.ts';
import { mistralFim, openaiCompletions } from './completions.ts';
import { openaiEmbeddings } from './embeddings.ts';
import { openaiCompact } from './responses/compact.ts';
import { openaiResponses } from './responses/responses.ts';

type Body = Readonly<Record<string, unknown>>;

const minimal = new Map<Dialect, Body>([
  [openaiChat, { model: 'gpt-6', messages: [{ role: 'user', content: 'Hi' }] }],
  [openaiResponses, { model: 'gpt-6', input: 'Hi' }],
  [openaiEmbeddings, { model: 'embed', input: ['Hi', 'Ho'] }],
]);
const generating = [openaiChat, openaiResponses] as const;

function bodyOf(value: unknown): JsonBody {
  const body = readBody(Buffer.from(JSON.stringify(value)));
  if ('problem' in body) throw new Error(body.problem);
  return body;
}

function read(dialect: Dialect, more: Body = {}): Facts {
  const facts = dialect.read(bodyOf({ ...minimal.get(dialect), ...more }), {}, {});
  if (isRefusal(facts)) throw new Error(facts.message);
  return facts;
}

function demand(dialect: Dialect, more: Body = {}): Demand {
  return read(dialect, more).demand;
}

function refused(dialect: Dialect, more: Body): Refusal {
  const facts = dialect.read(bodyOf({ ...minimal.get(dialect), ...more }), {}, {});
  if (!isRefusal(facts)) throw new Error(`not refused: ${JSON.stringify(more)}`);
  return facts;
}

function rewritten(dialect: Dialect, value: unknown, changes: Changes): unknown {
  return JSON.parse(dialect.rewrite(bodyOf(value), changes).toString());
}

function said(...content: readonly unknown[]): Body {
  return { messages: [{ role: 'user', content }] };
}

function given(...input: readonly unknown[]): Body {
  return { input };
}

test('a plain request demands its bytes and nothing else', () => {
  for (const [dialect, value] of minimal) {
    const { textTokens, cacheWrite, anyOutput, ...rest } = demand(dialect);
    assert.equal(textTokens, valueBound(value).tokens, dialect.id);
    assert.deepEqual([cacheWrite, anyOutput], dialect.generates ? ['5m', true] : ['none', false], dialect.id);
    assert.deepEqual(
      rest,
      {
        pictures: [],
        media: {},
        features: [],
        inputReads: 1,
        toolTokens: 0,
        choices: 1,
        extraOutputTokens: 0,
        outputs: [],
        fees: {},
        servings: [],
      },
      dialect.id,
    );
    assert.deepEqual(read(dialect).unjudged, []);
  }
});

test('a governing field of the wrong type is refused by its name', () => {
  const cases: readonly (readonly [Dialect, Body])[] = [
    ...[7, 'Hi', {}, ['Hi'], [[]], [null]].map((messages): readonly [Dialect, Body] => [openaiChat, { messages }]),
    ...[7, {}, [7], [[]], [null]].map((input): readonly [Dialect, Body] => [openaiResponses, { input }]),
    ...[{}, [null], [true], [['a']], [[{}]]].map((input): readonly [Dialect, Body] => [openaiEmbeddings, { input }]),
    ...generating.flatMap((dialect) =>
      [
        { modalities: 'audio' },
        { modalities: [7] },
        { tools: { type: 'web_search' } },
        { tools: ['web_search'] },
        { plugins: { id: 'web' } },
        { provider: 'dear' },
        { service_tier: ['priority'] },
        { reasoning: 'high' },
        { prompt_cache_options: '12h' },
        { chat_template_kwargs: [] },
      ].map((more): readonly [Dialect, Body] => [dialect, more]),
    ),
    ...[
      { prediction: [{ type: 'content', content: 'x' }] },
      { web_search_options: [] },
      { functions: {} },
      { response_format: 'json_schema' },
      { reasoning_effort: 1 },
      { stream_options: [] },
      { n: '2' },
      { n: 1.5 },
      { n: 5000 },
      { best_of: '20' },
    ].map((more): readonly [Dialect, Body] => [openaiChat, more]),
    ...[
      { background: 1 },
      { previous_response_id: ['resp_1'] },
      { conversation: 7 },
      { prompt: 'pmpt_1' },
      { context_management: { type: 'compaction' } },
      { text: 'json' },
      { instructions: [{ type: 'input_image' }] },
      { max_tool_calls: '3' },
    ].map((more): readonly [Dialect, Body] => [openaiResponses, more]),
    [openaiEmbeddings, { provider: [] }],
  ];
  for (const [dialect, more] of cases) {
    const refusal = refused(dialect, more);
    assert.equal(refusal.code, 'invalid_request', JSON.stringify(more));
    assert.match(refusal.message, new RegExp(`The field ${Object.keys(more)[0]} must`), JSON.stringify(more));
  }
});

test('content that is neither text nor parts is refused wherever it stands', () => {
  for (const content of [7, true, {}, [7], [null], [['x']]]) {
    assert.match(refused(openaiChat, { messages: [{ role: 'user', content }] }).message, /field messages must/);
    assert.match(refused(openaiResponses, given({ role: 'user', content })).message, /field input must/);
  }
  for (const output of [7, true, [7], [null]])
    assert.match(refused(openaiResponses, given({ type: 'function_call_output', call_id: 'c', output })).message, /field input must/);
  assert.match(refused(openaiResponses, given({ type: 'additional_tools', tools: {} })).message, /field tools must/);
  assert.match(refused(openaiResponses, { tools: [{ type: 'namespace', tools: 'x' }] }).message, /field tools must/);
});

test('a body that looks like a refusal is a body', () => {
  const odd = { kind: 'refusal', code: 'none', message: 'x' };
  for (const more of [{ stream_options: odd }, { reasoning: odd }, { provider: odd }, said({ type: 'text', ...odd })])
    read(openaiChat, more);
});

test('fields that nobody has judged are named, and those that cost nothing are not', () => {
  for (const dialect of minimal.keys()) {
    assert.deepEqual(read(dialect, { brand_new: 1, another: {}, absent: null, user: 'me', priority: 1 }).unjudged, [
      'brand_new',
      'another',
    ]);
  }
  const free = {
    temperature: 1,
    top_k: 5,
    min_p: 0.1,
    guided_json: {},
    ignore_eos: true,
    cache_salt: 's',
    logprobs: true,
    tool_choice: 'auto',
    metadata: {},
  };
  for (const dialect of generating) assert.deepEqual(read(dialect, free).unjudged, []);
  assert.deepEqual(read(openaiChat, { ['x'.repeat(5000)]: 1 }).unjudged, [`${'x'.repeat(128)}…`]);
});

test('a field that adds what KeyForge cannot count has no bound, unless it is turned off', () => {
  const fields: readonly (readonly [string, unknown])[] = [
    ['data_sources', [{ type: 'azure_search' }]],
    ['search_parameters', { mode: 'on' }],
    ['enable_search', true],
    ['extra_body', { google: { cached_content: 'cachedContents/1' } }],
    ['generationConfig', {}],
    ['google', { cached_content: 'c' }],
    ['session_params', { id: 's' }],
    ['use_beam_search', true],
    ['chat_template', '{{ x }}'],
    ['mm_processor_kwargs', { min_pixels: 1_000_000 }],
    ['n_predict', 9000],
    ['deferred', true],
  ];
  for (const [name, value] of fields) {
    assert.ok(demand(openaiChat, { [name]: value }).unmeterable?.startsWith(`the field ${name} `), name);
    assert.equal(demand(openaiChat, { [name]: false }).unmeterable, undefined, name);
  }
  assert.match(demand(openaiChat, { max_output_tokens: 9 }).unmeterable ?? '', /max_output_tokens is a limit/);
  assert.match(demand(openaiResponses, { max_tokens: 9 }).unmeterable ?? '', /max_tokens is a limit/);
});

test('switches of a chat template are free, and texts in it have no bound', () => {
  assert.equal(demand(openaiChat, { chat_template_kwargs: { enable_thinking: false, depth: 3, absent: null } }).unmeterable, undefined);
  for (const value of ['text', ['text'], { text: 'x' }])
    assert.match(demand(openaiChat, { chat_template_kwargs: { value } }).unmeterable ?? '', /chat_template_kwargs.value/);
});

test('Mistral’s safe prompt counts where it is asked for', () => {
  const off = demand(openaiChat, { safe_prompt: false }).textTokens;
  assert.equal(demand(openaiChat, { safe_prompt: true }).textTokens - off, 256);
});

test('the smaller of two output limits counts, and is written into both', () => {
  const both = { max_tokens: 5, max_completion_tokens: 6 };
  assert.equal(read(openaiChat, both).maxOutputTokens, 5);
  assert.deepEqual(rewritten(openaiChat, both, {}), { max_tokens: 5, max_completion_tokens: 5 });
  assert.deepEqual(rewritten(openaiChat, both, { maxOutputTokens: 3 }), { max_tokens: 3, max_completion_tokens: 3 });
  const same = { max_tokens: 5, max_completion_tokens: 5 };
  assert.equal(openaiChat.rewrite(bodyOf(same), {}).toString(), JSON.stringify(same));
});

test('an output limit is a positive integer of reasonable size', () => {
  for (const [dialect, field] of [
    [openaiChat, 'max_tokens'],
    [openaiChat, 'max_completion_tokens'],
    [openaiResponses, 'max_output_tokens'],
  ] as const) {
    assert.equal(read(dialect, { [field]: 77 }).maxOutputTokens, 77);
    assert.equal(read(dialect, { [field]: null }).maxOutputTokens, undefined);
    for (const limit of [0, -1, 1.5, '77', true, [77], 2 ** 31])
      assert.match(refused(dialect, { [field]: limit }).message, new RegExp(`field ${field} must`), String(limit));
  }
});

test('a server that reads one limit field gets the limit in that field', () => {
  const changes: Changes = { outputField: 'max_tokens' };
  assert.deepEqual(rewritten(openaiChat, { max_completion_tokens: 1 }, changes), { max_tokens: 1, max_completion_tokens: 1 });
  assert.deepEqual(rewritten(openaiChat, { max_completion_tokens: 9 }, { ...changes, maxOutputTokens: 5 }), {
    max_tokens: 5,
    max_completion_tokens: 5,
  });
  assert.deepEqual(rewritten(openaiChat, { max_completion_tokens: 9, max_tokens: null }, changes), {
    max_tokens: 9,
    max_completion_tokens: 9,
  });
  assert.deepEqual(rewritten(openaiChat, {}, changes), {});
  assert.deepEqual(rewritten(openaiChat, {}, { ...changes, maxOutputTokens: 5 }), { max_tokens: 5 });
  assert.deepEqual(rewritten(openaiChat, {}, { maxOutputTokens: 5 }), { max_completion_tokens: 5 });
  assert.deepEqual(rewritten(openaiChat, { max_tokens: 9 }, { maxOutputTokens: 5 }), { max_tokens: 5 });
  assert.deepEqual(rewritten(openaiResponses, {}, { ...changes, maxOutputTokens: 5 }), { max_output_tokens: 5 });
});

test('as many answers count as are generated', () => {
  assert.equal(demand(openaiChat, { n: 4 }).choices, 4);
  assert.equal(demand(openaiChat, { n: 2, best_of: 20 }).choices, 20);
  assert.equal(demand(openaiChat, { n: 3, best_of: 2 }).choices, 3);
});

test('modalities count as asked, and everything that the model answers with where the request does not say', () => {
  for (const dialect of generating) {
    assert.deepEqual(
      [demand(dialect, { modalities: ['text', 'audio'] }).outputs, demand(dialect, { modalities: ['image'] }).outputs],
      [['audio'], ['image']],
    );
    assert.deepEqual([demand(dialect).anyOutput, demand(dialect, { modalities: [] }).anyOutput], [true, true]);
    assert.equal(demand(dialect, { modalities: ['text'] }).anyOutput, false);
    assert.match(demand(dialect, { modalities: ['video'] }).unmeterable ?? '', /"video" as output/);
  }
});

test('a prediction is bounded by its own bytes, for each answer', () => {
  const prediction = { type: 'content', content: 'const a = 1;' };
  const { extraOutputTokens, features, unmeterable } = demand(openaiChat, { prediction, n: 2 });
  assert.deepEqual([extraOutputTokens, features, unmeterable], [2 * valueBound(prediction).tokens, ['prediction'], undefined]);
});

test('what a request uses is named, so that only that is paid for', () => {
  const tool = { type: 'function', function: { name: 'f' } };
  assert.deepEqual(demand(openaiChat, { tools: [tool, { type: 'custom', custom: { name: 'c' } }] }).features, ['tools']);
  assert.deepEqual(demand(openaiChat, { functions: [{ name: 'f' }] }).features, ['tools']);
  assert.deepEqual(demand(openaiChat, { tools: [], functions: [] }).features, []);
  assert.deepEqual(demand(openaiChat, { response_format: { type: 'json_schema', json_schema: {} } }).features, ['structuredOutput']);
  assert.deepEqual(demand(openaiChat, { response_format: { type: 'text' } }).features, []);
  assert.deepEqual(demand(openaiResponses, { text: { format: { type: 'json_schema' } } }).features, ['structuredOutput']);
  assert.deepEqual(demand(openaiResponses, { text: { format: { type: 'text' }, verbosity: 'low' } }).features, []);
  assert.deepEqual(demand(openaiResponses, { tools: [{ type: 'function', name: 'f' }] }).features, ['tools']);
});

test('thoughts are read from effort and budget', () => {
  const thinking = (dialect: Dialect, more: Body): unknown => read(dialect, more).thinking;
  assert.deepEqual(thinking(openaiChat, { reasoning_effort: 'high' }), { kind: 'effort', effort: 'high' });
  assert.deepEqual(thinking(openaiChat, { reasoning_effort: 'none' }), { kind: 'off' });
  assert.deepEqual(thinking(openaiChat, { thinking: { type: 'disabled' } }), { kind: 'off' });
  for (const dialect of generating) {
    assert.equal(thinking(dialect, {}), undefined);
    assert.equal(thinking(dialect, { reasoning: { effort: 'brand new' } }), undefined);
    assert.deepEqual(thinking(dialect, { reasoning: { effort: 'xhigh' } }), { kind: 'effort', effort: 'xhigh' });
    assert.deepEqual(thinking(dialect, { reasoning: { enabled: false } }), { kind: 'off' });
    assert.deepEqual(thinking(dialect, { reasoning: { max_tokens: 4000 } }), { kind: 'budget', tokens: 4000, leastTokens: 1024 });
    assert.match(refused(dialect, { reasoning: { max_tokens: 'many' } }).message, /field max_tokens must/);
    assert.deepEqual(rewritten(dialect, { reasoning: { max_tokens: 4000 } }, { thinkingTokens: 1500 }), {
      reasoning: { max_tokens: 1500 },
    });
    assert.match(demand(dialect, { reasoning: { mode: 'pro' } }).unmeterable ?? '', /reasoning.mode "pro"/);
    assert.equal(demand(dialect, { reasoning: { mode: 'standard' } }).unmeterable, undefined);
  }
});

test('a service tier costs what it is: the standard at most, priority, or unknown', () => {
  for (const dialect of generating) {
    for (const service_tier of [null, 'auto', 'default', 'flex']) {
      const { servings, unmeterable } = demand(dialect, { service_tier });
      assert.deepEqual([servings, unmeterable], [[], undefined], String(service_tier));
    }
    for (const service_tier of ['priority', 'fast']) assert.deepEqual(demand(dialect, { service_tier }).servings, ['priority']);
    for (const service_tier of ['ultrafast', 'scale', 'new'])
      assert.match(demand(dialect, { service_tier }).unmeterable ?? '', /service_tier/);
  }
});

test('the standard tier is asked for where the request leaves it open', () => {
  for (const dialect of generating) {
    const tier = (service_tier?: string | null): unknown => {
      const body = service_tier === undefined ? {} : { service_tier };
      return rewritten(dialect, body, { standardTier: true });
    };
    for (const open of [undefined, null, 'auto']) assert.deepEqual(tier(open), { service_tier: 'default' });
    for (const chosen of ['flex', 'priority', 'default']) assert.deepEqual(tier(chosen), { service_tier: chosen });
    assert.deepEqual(rewritten(dialect, { service_tier: 'auto' }, {}), { service_tier: 'auto' });
  }
});

test('longer cache lifetimes count at their price', () => {
  for (const dialect of generating) {
    const cached = (more: Body): unknown => demand(dialect, more).cacheWrite;
    assert.deepEqual([cached({}), cached({ prompt_cache_options: { mode: 'implicit', ttl: '30m' } })], ['5m', '5m']);
    assert.deepEqual(
      [
        cached({ prompt_cache_retention: '24h' }),
        cached({ prompt_cache_options: { ttl: '12h' } }),
        cached({ cache_control: { type: 'ephemeral', ttl: '1h' } }),
      ],
      ['1h', '1h', '1h'],
    );
  }
  const control = { type: 'ephemeral', ttl: '1h' };
  assert.equal(demand(openaiChat, said({ type: 'text', text: 'x', cache_control: control })).cacheWrite, '1h');
  assert.equal(demand(openaiChat, { messages: [{ role: 'user', content: 'x', cache_control: control }] }).cacheWrite, '1h');
  const tool = { type: 'function', cache_control: control };
  for (const dialect of [openaiChat, openaiResponses]) assert.equal(demand(dialect, { tools: [tool] }).cacheWrite, '1h');
  assert.equal(demand(openaiChat, { tools: [{ type: 'function', function: { cache_control: control } }] }).cacheWrite, '1h');
  assert.equal(demand(openaiChat, { functions: [{ name: 'f', cache_control: control }] }).cacheWrite, '1h');
});

test('only what cannot choose a dearer host is free in OpenRouter’s routing', () => {
  for (const [dialect] of minimal) {
    const routed = (provider: Body): readonly string[] => read(dialect, { provider }).unjudged;
    assert.deepEqual(routed({ data_collection: 'deny', zdr: true, require_parameters: true, allow_fallbacks: false, only: null }), []);
    for (const choice of [
      { only: ['dear'] },
      { order: ['dear'] },
      { sort: 'latency' },
      { ignore: ['cheap'] },
      { quantizations: ['fp8'] },
      { brand_new: 1 },
    ])
      assert.deepEqual(routed(choice), ['provider'], JSON.stringify(choice));
    assert.match(dialect.generates ? (demand(dialect, { plugins: [{ id: 'web' }] }).unmeterable ?? '') : 'plugins', /plugins/);
    for (const name of ['models', 'route', 'preset', 'fallbacks', 'lora_path'])
      assert.equal(refused(dialect, { [name]: ['other'] }).code, 'model_denied', name);
  }
});

test('OpenRouter is told the highest price, never above the caller’s own', () => {
  const maxPrice = { input: 450_000, output: 2_150_000 };
  for (const [dialect] of minimal) {
    assert.deepEqual(rewritten(dialect, {}, { maxPrice }), { provider: { max_price: { prompt: 0.45, completion: 2.15 } } });
    assert.deepEqual(
      rewritten(dialect, { provider: { zdr: true, max_price: { prompt: '0.3', completion: 9, request: 1 } } }, { maxPrice }),
      {
        provider: { zdr: true, max_price: { prompt: 0.3, completion: 2.15, request: 1 } },
      },
    );
    assert.deepEqual(rewritten(dialect, { provider: { max_price: { prompt: 'x', completion: -1 } } }, { maxPrice }), {
      provider: { max_price: { prompt: 0.45, completion: 2.15 } },
    });
  }
});

const picture = 'iVBORw0KGgo'.repeat(1000);
const pictureUrl = `data:image/png;base64,${picture}`;

test('an inline picture counts as a picture and not as its base64, in parts and in results of tools', () => {
  const cases: readonly (readonly [Dialect, Body])[] = [
    [openaiChat, said({ type: 'image_url', image_url: { url: pictureUrl } })],
    [openaiChat, { messages: [{ role: 'tool', content: [{ type: 'image_url', image_url: pictureUrl }] }] }],
    [openaiResponses, given({ role: 'user', content: [{ type: 'input_image', image_url: pictureUrl }] })],
    [openaiResponses, given({ type: 'function_call_output', call_id: 'c', output: [{ type: 'input_image', image_url: pictureUrl }] })],
    [openaiResponses, given({ type: 'computer_call_output', output: { type: 'computer_screenshot', image_url: pictureUrl } })],
    [openaiResponses, given({ type: 'image_generation_call', id: 'i', result: picture })],
    [openaiEmbeddings, { input: [{ content: [{ type: 'image_url', image_url: { url: pictureUrl } }] }] }],
  ];
  for (const [dialect, more] of cases) {
    const { pictures, stored, textTokens, features } = demand(dialect, more);
    assert.deepEqual(
      [pictures.length, stored, features, textTokens < 500],
      [1, undefined, ['image'], true],
      JSON.stringify(more).slice(0, 200),
    );
  }
});

test('a payload is taken out of the text, whatever characters it has', () => {
  const ligature = '\ufdfa'.repeat(1000);
  const { textTokens } = demand(openaiChat, said({ type: 'image_url', image_url: { url: `data:${ligature}` } }));
  assert.ok(textTokens > 0);
  assert.ok(demand(openaiChat, said({ type: 'text', text: ligature })).textTokens >= stringBound(ligature));
});

test('content of unstated size is bounded by the context, as what it may be', () => {
  const cases: readonly (readonly [Dialect, Body, readonly string[]])[] = [
    [openaiChat, said({ type: 'file', file: { file_id: 'f' } }), ['text', 'image', 'document']],
    [openaiChat, said({ type: 'file', file: { file_data: `data:application/pdf;base64,${picture}` } }), ['document']],
    [openaiChat, said({ type: 'input_audio', input_audio: { data: 'https://x' } }), ['audio']],
    [openaiChat, said({ type: 'audio_url', audio_url: { url: 'https://x' } }), ['audio']],
    [openaiChat, said({ type: 'video_url', video_url: { url: 'https://x' } }), ['video', 'audio']],
    [openaiChat, { messages: [{ role: 'assistant', audio: { id: 'a' } }] }, ['audio']],
    [openaiResponses, { conversation: { id: 'conv_1' } }, ['text', 'image', 'document']],
    [openaiResponses, given({ type: 'item_reference', id: 'i' }), ['text', 'image', 'document']],
    [openaiResponses, given({ role: 'user', content: [{ type: 'input_file', file_url: 'https://x' }] }), ['text', 'image', 'document']],
  ];
  for (const [dialect, more, stored] of cases) {
    const found = demand(dialect, more);
    assert.deepEqual(
      [found.stored, found.unmeterable, found.textTokens < 500],
      [stored, undefined, true],
      JSON.stringify(more).slice(0, 200),
    );
  }
});

test('what KeyForge does not know may be anything', () => {
  const anything = ['text', 'image', 'audio', 'video', 'document'];
  const unknown = { type: 'brand_new', url: 'https://x' };
  for (const [dialect, more] of [
    [openaiChat, said(unknown)],
    [openaiChat, said({ url: 'https://x' })],
    [openaiChat, said({ type: ['text'] })],
    [openaiChat, { messages: [{ role: 'assistant', content: 'x', images: [{ type: 'image_url' }] }] }],
    [openaiResponses, given(unknown)],
    [openaiResponses, given({ type: 7 })],
    [openaiResponses, given({ role: 'user', content: [unknown] })],
    [openaiResponses, given({ type: 'custom_tool_call_output', call_id: 'c', output: [unknown] })],
    [openaiEmbeddings, { input: [unknown] }],
  ] as const) {
    assert.deepEqual(demand(dialect, more).stored, anything, JSON.stringify(more));
  }
  const told = {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'c' }],
    reasoning_details: [{}],
    reasoning_content: 'x',
    refusal: null,
  };
  assert.equal(demand(openaiChat, { messages: [told] }).stored, undefined);
});

test('messages between agents and compactions of Codex are text, but for pictures in them', () => {
  const secret = { type: 'encrypted_content', encrypted_content: 'gAAAA' };
  const message = { type: 'agent_message', author: '/root', recipient: '/root/worker' };
  for (const item of [
    { ...message, content: [{ type: 'input_text', text: 'Go on' }, secret] },
    { type: 'multi_agent_call', call_id: 'c', action: 'wait_agent', arguments: '{}' },
    { type: 'multi_agent_call_output', call_id: 'c', action: 'wait_agent', output: [{ type: 'output_text', text: 'Done' }] },
    { type: 'compaction_summary', encrypted_content: 'gAAAA' },
    { type: 'context_compaction', encrypted_content: 'gAAAA' },
  ]) {
    const { stored, media, textTokens } = demand(openaiResponses, given(item));
    assert.deepEqual([stored, media, textTokens], [undefined, {}, valueBound({ model: 'gpt-6', input: [item] }).tokens], item.type);
  }
  const shown = demand(openaiResponses, given({ ...message, content: [{ type: 'input_image', image_url: pictureUrl }] }));
  assert.deepEqual([shown.pictures.length, shown.stored], [1, undefined]);
  // Without its content, the provider would have to look it up.
  assert.deepEqual(demand(openaiResponses, given({ type: 'context_compaction', id: 'cmp_1' })).stored, ['text']);
});

test('a previous response is named, so that its size can be known', () => {
  const facts = read(openaiResponses, { previous_response_id: 'resp_1' });
  assert.deepEqual([facts.continues, facts.demand.stored], ['resp_1', ['text', 'image', 'document']]);
  assert.equal(read(openaiResponses, { previous_response_id: null }).continues, undefined);
});

test('a hosted tool costs its fee and another reading for each call', () => {
  const cases: readonly (readonly [Body, Demand['fees'], number | undefined])[] = [
    [{ type: 'web_search' }, { webSearch: 3 }, 128_000],
    [{ type: 'web_search_2025_08_26' }, { webSearch: 3 }, 128_000],
    [{ type: 'web_search_preview' }, { webSearchPreview: 3 }, 128_000],
    [{ type: 'web_search', return_token_budget: 'unlimited' }, { webSearch: 3 }, undefined],
    [{ type: 'file_search', max_num_results: 4 }, { fileSearch: 3 }, 4 * 5120],
    [{ type: 'file_search' }, { fileSearch: 3 }, 50 * 5120],
    [{ type: 'code_interpreter', container: { type: 'auto' } }, { container: 3 }, undefined],
    [{ type: 'code_interpreter', container: { type: 'auto', memory_limit: '4g' } }, { container: 12 }, undefined],
    [{ type: 'shell', environment: { type: 'container_auto' } }, { container: 3 }, undefined],
    [{ type: 'mcp', server_url: 'https://x' }, {}, undefined],
  ];
  for (const [tool, fees, toolTokens] of cases) {
    const found = demand(openaiResponses, { tools: [tool], max_tool_calls: 3 });
    assert.deepEqual(
      [found.fees, found.toolTokens, found.inputReads, found.unmeterable],
      [fees, toolTokens, 4, undefined],
      JSON.stringify(tool),
    );
    assert.ok(found.features.includes('hostedTools'));
  }
  assert.deepEqual(demand(openaiResponses, { tools: [{ type: 'mcp' }], max_tool_calls: 3 }).stored, ['text']);
  assert.deepEqual(
    demand(openaiResponses, { tools: [{ type: 'web_search', search_content_types: ['text', 'image'] }], max_tool_calls: 3 }).stored,
    ['image'],
  );
  const searched = demand(openaiResponses, { tools: [{ type: 'tool_search' }], max_tool_calls: 3 });
  assert.ok((searched.toolTokens ?? 0) >= searched.textTokens);
});

test('the limit of calls is one for all hosted tools, and the dearest result of them counts', () => {
  const tools = [{ type: 'web_search' }, { type: 'file_search', max_num_results: 1 }, { type: 'function', name: 'f' }];
  const both = demand(openaiResponses, { tools, max_tool_calls: 2 });
  assert.deepEqual([both.fees, both.toolTokens, both.inputReads], [{ webSearch: 2, fileSearch: 2 }, 128_000, 3]);
});

test('a server that may not read the limit of calls is named the hosted tools', () => {
  const tools = [{ type: 'mcp', server_url: 'https://x' }];
  assert.deepEqual(read(openaiResponses, { tools, max_tool_calls: 3 }).unjudged, ['tools']);
  assert.deepEqual(read(openaiResponses, { tools: [{ type: 'function', name: 'f' }] }).unjudged, []);
});

test('only the preview of web search leaves the input as it is', () => {
  const only = (...types: readonly string[]): unknown => demand(openaiResponses, { tools: types.map((type) => ({ type })) }).onlyPreviews;
  assert.deepEqual([only('web_search_preview', 'function'), only('web_search_preview_2025_03_11')], [true, true]);
  assert.deepEqual(
    [only('web_search'), only('web_search_preview', 'mcp'), only('function'), only()],
    [undefined, undefined, undefined, undefined],
  );
});

test('hosted tools without a limit are open offers, whose limit is written to the request', () => {
  const cases: readonly (readonly [readonly Body[], readonly string[]])[] = [
    [[{ type: 'web_search' }, { type: 'function', name: 'f' }], ['webSearch']],
    [
      [{ type: 'web_search_preview' }, { type: 'file_search' }],
      ['webSearchPreview', 'fileSearch'],
    ],
    [[{ type: 'code_interpreter', container: { type: 'auto', memory_limit: '4g' } }], ['container', 'container', 'container', 'container']],
    [[{ type: 'mcp' }], []],
    [[{ type: 'namespace', tools: [{ type: 'web_search' }] }], ['webSearch']],
  ];
  for (const [tools, fees] of cases) {
    const body = { ...minimal.get(openaiResponses), tools };
    const open = demand(openaiResponses, { tools, max_tool_calls: null });
    assert.deepEqual(
      [open.openCalls, open.inputReads, open.fees],
      [{ fees, tools: 1, maxReads: Number.POSITIVE_INFINITY }, 1, {}],
      JSON.stringify(tools),
    );
    const limited = rewritten(openaiResponses, body, { toolCalls: 4 });
    assert.deepEqual(limited, { ...body, max_tool_calls: 4 });
    assert.equal(demand(openaiResponses, limited as Body).openCalls, undefined);
  }
});

test('a limit of calls can be lowered: the demand is that of the lower limit', () => {
  const tools = [{ type: 'web_search' }, { type: 'code_interpreter', container: { type: 'auto' } }, { type: 'mcp', server_label: 'x' }];
  const at = (max_tool_calls: number): Demand => demand(openaiResponses, { tools, max_tool_calls });
  const open = reopened(at(7));
  assert.ok(open);
  assert.equal(open.openCalls?.most, 7);
  for (const calls of [1, 3, 7]) {
    const { givenCalls: _, textTokens, ...lower } = at(calls);
    assert.deepEqual(withCalls(open, calls), { ...lower, textTokens });
  }
  assert.equal(reopened(demand(openaiResponses, { tools })), null);
  assert.equal(reopened(demand(openaiResponses, { max_tool_calls: 3 })), null);
  assert.deepEqual(rewritten(openaiResponses, { tools, max_tool_calls: 7 }, { toolCalls: 2 }), { tools, max_tool_calls: 2 });
});

test('tools that items of the input add are judged like the request’s own', () => {
  for (const type of ['additional_tools', 'tool_search_output']) {
    const { fees } = demand(openaiResponses, { ...given({ type, tools: [{ type: 'web_search' }] }), max_tool_calls: 2 });
    assert.deepEqual(fees, { webSearch: 2 });
  }
  const named = { type: 'namespace', tools: [{ type: 'x', model: 'y' }] };
  assert.equal(refused(openaiResponses, given({ type: 'additional_tools', tools: [named] })).code, 'model_denied');
  assert.equal(refused(openaiResponses, { tools: [{ type: 'image_generation', model: 'gpt-image-9' }] }).code, 'model_denied');
});

test('tools that run at the caller’s cost their text only', () => {
  const tools = [
    { type: 'function', name: 'f' },
    { type: 'tool_search', execution: 'client' },
    { type: 'local_shell' },
    { type: 'shell', environment: { type: 'local' } },
    { type: 'namespace', tools: [{ type: 'function' }] },
  ];
  const { features, inputReads, stored, openCalls, unmeterable } = demand(openaiResponses, { tools });
  assert.deepEqual([features, inputReads, stored, openCalls, unmeterable], [['tools'], 1, undefined, undefined, undefined]);
});

test('search in chat has no limit of its own', () => {
  for (const more of [{ web_search_options: {} }, { tools: [{ type: 'openrouter:web_search' }] }]) {
    const { fees, inputReads, toolTokens, onlyPreviews, features } = demand(openaiChat, more);
    assert.deepEqual([fees, inputReads, toolTokens, onlyPreviews, features], [{ webSearch: null }, 2, undefined, true, ['hostedTools']]);
  }
});

test('what has no bound says why', () => {
  const cases: readonly (readonly [Dialect, Body, RegExp])[] = [
    [openaiChat, { tools: [{ type: 'unheard_of' }] }, /unheard_of/],
    [openaiChat, { tools: [{}] }, /tool null/],
    [openaiResponses, { prompt: { id: 'pmpt_1' } }, /stored prompt/],
    [openaiResponses, given({ type: 'compaction_trigger' }, { role: 'user', content: 'Hi' }), /compaction_trigger/],
    [openaiResponses, { tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }, /container of unknown size/],
    [
      openaiResponses,
      { tools: [{ type: 'code_interpreter', container: { type: 'auto', memory_limit: '128g' } }] },
      /container of unknown size/,
    ],
    [
      openaiResponses,
      { tools: [{ type: 'shell', environment: { type: 'container_reference', container_id: 'c' } }] },
      /container of unknown size/,
    ],
    [openaiResponses, { tools: [{ type: 'image_generation' }] }, /image generation/],
    [openaiResponses, { tools: [{ type: 'unheard_of' }] }, /unheard_of/],
  ];
  for (const [dialect, more, reason] of cases) assert.match(demand(dialect, more).unmeterable ?? '', reason, JSON.stringify(more));
});

test('a compaction that the caller asks for is one summary of a single reading', () => {
  const item = { role: 'user', content: 'Hi' };
  const triggered = demand(openaiResponses, given(item, { type: 'compaction_trigger' }));
  assert.deepEqual([triggered.summaries, triggered.inputReads, triggered.unmeterable], [1, 1, undefined]);
  const tools = [{ type: 'web_search' }, { type: 'function', name: 'f' }];
  const compacted = demand(openaiCompact, { model: 'gpt-6', input: [item], tools });
  assert.deepEqual(
    [compacted.summaries, compacted.inputReads, compacted.openCalls, compacted.unmeterable, compacted.features],
    [1, 1, undefined, undefined, ['tools']],
  );
});

test('a text completion demands an answer for each prompt, of each of the answers that are generated', () => {
  const bounds = (more: Body): readonly unknown[] => {
    const { choices, extraOutputTokens, anyOutput, features } = demand(openaiCompletions, { model: 'm', ...more });
    return [choices, extraOutputTokens > 0, anyOutput, features];
  };
  assert.deepEqual(bounds({}), [1, false, false, []]);
  assert.deepEqual(bounds({ prompt: 'Hi', logprobs: 5, suffix: '.' }), [1, false, false, []]);
  assert.deepEqual(bounds({ prompt: [1, 2, 3], n: 2 }), [2, false, false, []]);
  assert.deepEqual(bounds({ prompt: ['Hi', 'Ho', [1]], n: 2, best_of: 4 }), [12, false, false, []]);
  assert.deepEqual(bounds({ prompt: 'Hi', echo: true }), [1, true, false, []]);
  for (const more of [{ prompt: 1 }, { prompt: [{}] }, { prompt: [['Hi']] }, { echo: 'yes' }, { suffix: 1 }, { max_tokens: -1 }, { n: 0 }])
    assert.equal(refused(openaiCompletions, { model: 'm', ...more }).code, 'invalid_request', JSON.stringify(more));
});

test('a text completion without a limit is sent with the API’s own, and fill in the middle as it is', () => {
  const value = { model: 'm', prompt: 'Hi' };
  assert.equal(read(openaiCompletions, value).maxOutputTokens, 16);
  assert.equal(read(openaiCompletions, { ...value, max_tokens: 0 }).maxOutputTokens, 0);
  assert.deepEqual(rewritten(openaiCompletions, value, {}), { max_tokens: 16, ...value });
  assert.deepEqual(rewritten(openaiCompletions, { ...value, max_tokens: 9 }, { maxOutputTokens: 5, standardTier: true }), {
    ...value,
    max_tokens: 5,
  });
  assert.equal(read(mistralFim, value).maxOutputTokens, undefined);
  assert.deepEqual(rewritten(mistralFim, value, {}), value);
});

test('a background response is refused on every key: nobody could fetch it', () => {
  for (const dialect of [openaiResponses, openaiCompact]) {
    const { code, message } = refused(dialect, { model: 'gpt-6', background: true });
    assert.equal(code, 'unmeterable_request');
    assert.match(message, /background/);
  }
  assert.equal(read(openaiResponses, { background: false }).demand.unmeterable, undefined);
});

test('compaction has a bound only where the call cannot reach its threshold', () => {
  const compacted = (compact_threshold: unknown, more: Body = {}): string | undefined =>
    demand(openaiResponses, { context_management: [{ type: 'compaction', compact_threshold }], max_output_tokens: 1000, ...more })
      .unmeterable;
  assert.equal(compacted(200_000), undefined);
  for (const threshold of [1100, undefined, null, '200000']) assert.match(compacted(threshold) ?? '', /compact_threshold/);
  for (const more of [
    { max_output_tokens: null },
    { conversation: 'c' },
    { tools: [{ type: 'web_search' }] },
    given({ role: 'user', content: [{ type: 'input_image', image_url: pictureUrl }] }),
    { context_management: [{ type: 'new', compact_threshold: 200_000 }] },
  ])
    assert.match(compacted(200_000, more) ?? '', /compact_threshold/, JSON.stringify(more).slice(0, 200));
});

test('the caller’s wish for the usage chunk is known', () => {
  const wish = (options: unknown): boolean => read(openaiChat, { stream: true, stream_options: options }).wantsUsage;
  assert.deepEqual(
    [wish(undefined), wish(null), wish({}), wish({ include_usage: false }), wish({ include_usage: true })],
    [false, false, false, false, true],
  );
});

test('a rewrite sets the model and the usage chunk, and leaves the rest byte for byte', () => {
  for (const dialect of minimal.keys())
    assert.deepEqual(rewritten(dialect, { model: 'a', x: [1] }, { model: 'up' }), { model: 'up', x: [1] });
  assert.deepEqual(rewritten(openaiChat, { stream_options: { include_obfuscation: false } }, { includeUsage: true }), {
    stream_options: { include_usage: true, include_obfuscation: false },
  });
  assert.deepEqual(rewritten(openaiChat, { stream_options: null }, { includeUsage: true }), { stream_options: { include_usage: true } });
  for (const [dialect, value] of minimal) {
    const body = bodyOf(value);
    assert.equal(dialect.rewrite(body, {}), body.bytes);
  }
});

test('thoughts that a request names by id are each bounded by the length of an answer', () => {
  const thought = { type: 'reasoning', id: 'rs_1', summary: [] };
  const more = given({ role: 'user', content: 'Hi' }, thought, { ...thought, encrypted_content: 'x' }, { ...thought, id: 'rs_2' });
  const { thoughts, stored } = read(openaiResponses, more).demand;
  assert.deepEqual([thoughts, stored], [2, undefined]);
});

test('what a template may add to tools and arguments of calls is bounded', () => {
  const added = (dialect: Dialect, more: Body): number => read(dialect, more).templateTokens?.() ?? 0;
  const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'string' } } } } };
  const indented = JSON.stringify(tool, null, 4).length - JSON.stringify(tool).length;
  assert.equal(added(openaiChat, {}), 0);
  assert.ok(added(openaiChat, { tools: [tool] }) >= indented);
  assert.ok(added(openaiResponses, { tools: [tool] }) >= indented);
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{"a":"ж"}' } };
  assert.ok(added(openaiChat, { messages: [{ role: 'assistant', tool_calls: [call] }] }) > 0);
});

test('a prediction of more than a MiB is bounded by the whole body', () => {
  const more = { prediction: { type: 'content', content: 'x'.repeat(1_100_000) } };
  const { extraOutputTokens, textTokens } = read(openaiChat, more).demand;
  assert.equal(extraOutputTokens, textTokens);
});

test('arguments of calls are not parsed where they are long, and have no bound where no context holds them', () => {
  const added = (text: string): number => {
    const item = { type: 'function_call', call_id: 'c', name: 'f', arguments: text };
    const function_ = { name: 'f', arguments: text };
    const inChat = { messages: [{ role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: function_ }] }] };
    const tokens = read(openaiChat, inChat).templateTokens?.() ?? 0;
    assert.equal(tokens, read(openaiResponses, given(item)).templateTokens?.());
    return tokens;
  };
  const lists = (length: number): string => `[${'[],'.repeat(length / 3)}1]`;
  // Two lines and brackets for each list.
  assert.ok(added(lists(3_000_000)) > 20_000_000);
  assert.equal(added(lists(30_000_000)), Number.MAX_SAFE_INTEGER);
  const tools = [{ type: 'function', function: { name: 'f', description: 'x'.repeat(3_000_000) } }];
  assert.equal(read(openaiChat, { tools }).templateTokens?.(), Number.MAX_SAFE_INTEGER);
});
