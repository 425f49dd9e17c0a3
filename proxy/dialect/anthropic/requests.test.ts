import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal } from '../../../core/errors.ts';
import { type Demand, reopened, withCalls } from '../../../core/price/demand.ts';
import { readBody } from '../json.ts';
import type { Facts } from '../types.ts';
import { anthropicMessages } from './messages.ts';

type Fields = Readonly<Record<string, unknown>>;

function read(more: Fields, headers: Record<string, string> = {}): Facts | string {
  const value = { model: 'claude-sonnet-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }], ...more };
  const body = readBody(Buffer.from(JSON.stringify(value)));
  if ('problem' in body) throw new Error(body.problem);
  const facts = anthropicMessages.read(body, {}, headers);
  return isRefusal(facts) ? `${facts.code}: ${facts.message}` : facts;
}

function facts(more: Fields, headers?: Record<string, string>): Facts {
  const found = read(more, headers);
  if (typeof found === 'string') assert.fail(found);
  return found;
}

const demand = (more: Fields): Demand => facts(more).demand;
const content = (...blocks: readonly unknown[]): Fields => ({ messages: [{ role: 'user', content: blocks }] });
const tools = (...given: readonly unknown[]): Fields => ({ tools: given });

test('a governing field of the wrong type is refused by its name', () => {
  const wrong: readonly (readonly [Fields, string])[] = [
    [{ messages: { role: 'user', content: 'Hi' } }, 'messages'],
    [{ messages: ['Hi'] }, 'messages'],
    [{ messages: [{ role: 'user', content: { type: 'text' } }] }, 'messages.content'],
    [{ messages: [{ role: 'user', content: ['Hi'] }] }, 'messages.content'],
    [{ system: { type: 'text' } }, 'system'],
    [{ tools: { type: 'web_search_20250305' } }, 'tools'],
    [{ tools: ['web_search'] }, 'tools'],
    [{ mcp_servers: {} }, 'mcp_servers'],
    [{ thinking: 'enabled' }, 'thinking'],
    [{ thinking: { type: 'enabled', budget_tokens: '16000' } }, 'budget_tokens'],
    [{ context_management: [] }, 'context_management'],
    [{ compaction: true }, 'compaction'],
    [{ container: ['c'] }, 'container'],
    [{ speed: { fast: true } }, 'speed'],
    [{ inference_geo: 1 }, 'inference_geo'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ max_tokens: 0.5 }, 'max_tokens'],
    [tools({ type: 'web_search_20250305', max_uses: 'many' }), 'max_uses'],
    [tools({ type: 'web_fetch_20250910', max_content_tokens: '9' }), 'max_content_tokens'],
    [content({ type: 'tool_result', content: { type: 'image' } }), 'tool_result.content'],
  ];
  for (const [more, field] of wrong) assert.match(String(read(more)), new RegExp(`^invalid_request: The field ${field} must be`), field);
});

test('an empty limit fills the cache and asks for no output', () => {
  assert.equal(facts({ max_tokens: 0 }).maxOutputTokens, 0);
});

test('thinking is read as a budget, an effort, or off', () => {
  const enabled = { type: 'enabled', budget_tokens: 16_000 };
  assert.deepEqual(facts({ thinking: enabled }).thinking, { kind: 'budget', tokens: 16_000, leastTokens: 1024 });
  // The budget is then that of many turns.
  assert.equal(facts({ thinking: enabled }, { 'anthropic-beta': 'interleaved-thinking-2025-05-14' }).thinking, undefined);
  assert.deepEqual(facts({ thinking: { type: 'disabled' } }).thinking, { kind: 'off' });
  assert.deepEqual(facts({ thinking: { type: 'adaptive' } }).thinking, { kind: 'effort', effort: 'high' });
  assert.deepEqual(facts({ thinking: { type: 'adaptive' }, output_config: { effort: 'low' } }).thinking, { kind: 'effort', effort: 'low' });
  assert.equal(facts({}).thinking, undefined);
});

test('a lowered thinking budget is written where the caller gave one', () => {
  const body = readBody(Buffer.from('{"model":"m","max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":16000}}'));
  if ('problem' in body) throw new Error(body.problem);
  const sent = JSON.parse(anthropicMessages.rewrite(body, { maxOutputTokens: 9000, thinkingTokens: 7976 }).toString()) as unknown;
  assert.deepEqual(sent, { model: 'm', max_tokens: 9000, thinking: { type: 'enabled', budget_tokens: 7976 } });
});

test('a web search adds its results once a use, and rounds to the end of Anthropic’s loop, as refused uses are rounds too', () => {
  const { fees, inputReads, toolTokens, toolResults } = demand(tools({ type: 'web_search_20250305', name: 'web_search', max_uses: 1 }));
  assert.deepEqual(
    { fees, inputReads, toolTokens, toolResults },
    { fees: { webSearch: 1 }, inputReads: 11, toolTokens: 50_000, toolResults: 1 },
  );
});

test('a search that a block adds has no limit that KeyForge could set', () => {
  const definition = { type: 'web_search_20250305', name: 'web_search' };
  assert.equal(demand(content({ type: 'tool_addition', tool: { definition } })).fees.webSearch, null);
  assert.deepEqual(demand(tools(definition)).openCalls, { fees: ['webSearch'], tools: 1, maxReads: 11 });
});

test('a block that adds a tool of the request by its name adds nothing, and one of a new kind may add anything', () => {
  const added = (tool: unknown): unknown => demand(content({ type: 'tool_addition', tool })).stored;
  assert.equal(added({ type: 'tool_reference', name: 'mcp__files__read' }), undefined);
  assert.deepEqual(added({ type: 'brand_new' }), ['text', 'image', 'document']);
});

test('a fetch is bounded by the content that it may add, where the request says', () => {
  const fetch = { type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 3 };
  const bounded = demand(tools({ ...fetch, max_content_tokens: 2000 }));
  assert.deepEqual([bounded.toolTokens, bounded.toolResults, bounded.inputReads], [2000, 3, 11]);
  assert.equal(demand(tools(fetch)).toolTokens, undefined);
  // The largest result of several tools counts for each.
  const both = demand(tools({ ...fetch, max_content_tokens: 90_000 }, { type: 'web_search_20250305', max_uses: 2 }));
  assert.deepEqual([both.toolTokens, both.toolResults], [90_000, 5]);
});

test('code execution pays one session, and its results are bounded by the context', () => {
  const { fees, toolTokens, inputReads, unmeterable } = demand(tools({ type: 'code_execution_20260120', name: 'code_execution' }));
  assert.deepEqual([fees, toolTokens, inputReads, unmeterable], [{ container: 1 }, undefined, 11, undefined]);
});

test('code execution costs nothing beside a web tool that runs code itself', () => {
  const code = { type: 'code_execution_20260120', name: 'code_execution' };
  const fee = (type: string): unknown => demand(tools(code, { type, name: 'x', max_uses: 1 })).fees.container;
  assert.deepEqual(['web_search_20260209', 'web_fetch_20260318'].map(fee), [0, 0]);
  assert.deepEqual(['web_search_20250305', 'web_fetch_20250910'].map(fee), [1, 1]);
});

test('a container costs its session, and its skills may add input of any size', () => {
  assert.deepEqual(demand({ container: 'container_1' }).fees, { container: 1 });
  assert.equal(demand({ container: 'container_1' }).stored, undefined);
  const skilled = demand({ container: { skills: [{ type: 'anthropic', skill_id: 'pdf' }] } });
  assert.deepEqual([skilled.fees, skilled.stored], [{ container: 1 }, ['text']]);
});

test('tools of MCP servers add results of unknown size', () => {
  const { toolTokens, inputReads } = demand({ mcp_servers: [{ type: 'url', url: 'https://x', name: 'x' }] });
  assert.deepEqual([toolTokens, inputReads], [undefined, 11]);
});

const compacts = (edit: Fields = {}): Fields => ({ context_management: { edits: [{ type: 'compact_20260112', ...edit }] } });
const long = (bytes: number): Fields => ({ system: 'x'.repeat(bytes) });

test('compaction reads everything once more and may write a summary of the model’s own length', () => {
  const once = demand({ ...compacts(), ...long(150_000) });
  assert.deepEqual([once.summaries, once.inputReads], [1, 2]);
  const looping = demand({ ...compacts(), ...tools({ type: 'web_search_20250305', max_uses: 1 }) });
  assert.deepEqual([looping.summaries, looping.inputReads], [11, 22]);
  assert.equal(demand({ ...long(150_000), context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } }).summaries, undefined);
});

test('an input that cannot reach the threshold is not compacted', () => {
  const summaries = (edit: Fields, more: Fields): unknown => demand({ ...compacts(edit), ...more }).summaries;
  const trigger = (value: unknown): Fields => ({ trigger: { type: 'input_tokens', value } });
  assert.equal(summaries({}, long(100_000)), undefined);
  assert.equal(summaries(trigger(100_000), long(100_000)), 1);
  // Anthropic refuses thresholds below 50,000; one that cannot be read is taken for the least.
  assert.deepEqual(
    [summaries(trigger(1), long(10_000)), summaries(trigger(1), long(50_000)), summaries(trigger('9'), long(50_000))],
    [undefined, 1, 1],
  );
  const picture = { type: 'image', source: { type: 'url', url: 'https://x' } };
  assert.equal(summaries({}, content(...Array.from({ length: 20 }, () => picture))), 1);
  assert.equal(summaries({}, content({ type: 'document', source: { type: 'file', file_id: 'f' } })), 1);
});

test('the answer to a request for a summary is the summary alone', () => {
  const { summaries, inputReads } = demand({ compaction: { type: 'summarize' } });
  assert.deepEqual([summaries, inputReads], [1, 1]);
});

test('a request that names no geography leaves it to the workspace', () => {
  assert.deepEqual([demand({}).anyPlace, demand({ inference_geo: null }).anyPlace], [true, true]);
  for (const inference_geo of ['us', 'global']) assert.equal(demand({ inference_geo }).anyPlace, undefined);
});

test('speed and geography are ways of serving with a price; unknown ones have none', () => {
  assert.deepEqual(demand({ speed: 'fast', inference_geo: 'us' }).servings, ['us', 'fast'].toSorted());
  assert.deepEqual(demand({ speed: 'standard', inference_geo: 'global' }).servings, []);
  assert.match(String(demand({ inference_geo: 'moon' }).unmeterable), /inference_geo/);
  assert.match(String(demand({ speed: 'ludicrous' }).unmeterable), /speed/);
  assert.match(String(demand({ service_tier: 'flex' }).unmeterable), /service_tier/);
});

test('each block costs its text, its media, or the whole context', () => {
  assert.equal(demand(content({ type: 'thinking', thinking: 'Hm', signature: 's' })).stored, undefined);
  assert.equal(demand(content({ type: 'tool_removal', tool: { type: 'tool_reference', name: 'f' } })).stored, undefined);
  assert.deepEqual(demand(content({ type: 'hologram', data: 'x' })).stored, ['text', 'image', 'document']);
  assert.deepEqual(demand(content({ type: 'container_upload', file_id: 'f' })).stored, ['text', 'image', 'document']);
  assert.deepEqual(demand(content({ type: 'document', source: { type: 'url', url: 'https://x' } })).stored, ['document']);
  const nested = { type: 'tool_result', content: [{ type: 'document', source: { type: 'file', file_id: 'f' } }] };
  assert.deepEqual(demand(content(nested)).stored, ['document']);
  const fetched = {
    type: 'web_fetch_tool_result',
    content: { content: { type: 'document', source: { type: 'base64', data: 'JVBERi0=' } } },
  };
  assert.deepEqual(demand(content(fetched)).stored, ['document']);
  assert.deepEqual(demand({ system: [{ type: 'image', source: { type: 'url', url: 'https://x' } }] }).pictures, [null]);
});

test('tools and structured output count as such, and a tool that Anthropic describes itself by its description', () => {
  assert.deepEqual(demand(tools({ name: 'f', input_schema: {} })).features, ['tools']);
  assert.deepEqual(demand({ output_config: { format: { type: 'json_schema', schema: {} } } }).features, ['structuredOutput']);
  const own = demand(tools({ type: 'custom_', name: 'bash' }));
  assert.match(String(own.unmeterable), /runs at the provider/);
  // platform.claude.com/docs/en/about-claude/pricing#specific-tool-pricing
  for (const [type, tokens] of [
    ['bash_20250124', 325],
    ['text_editor_20250429', 700],
    ['computer_20251124', 735 + 499],
    ['computer_toolset_20260801', 4590],
    ['browser_toolset_20260801', 6670 + 880],
  ] as const) {
    assert.ok(demand(tools({ type })).textTokens - demand(tools({ name: type })).textTokens >= tokens, type);
  }
});

test('a tool that names a model of its own is refused, whatever it names', () => {
  assert.match(String(read(tools({ type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-5' }))), /^model_denied/);
  assert.match(String(read(tools({ type: 'advisor_20260301', name: 'advisor', model: ['claude-opus-5'] }))), /^model_denied/);
});

test('what Anthropic’s API does not name is noted, for servers that read more', () => {
  assert.deepEqual(facts({ temperature: 1, thinking: { type: 'disabled' } }).unjudged, []);
  assert.deepEqual(facts({ plugins: [{ id: 'web' }], provider: { only: ['x'] } }).unjudged, ['plugins', 'provider']);
  assert.match(String(read({ preset: 'x' })), /^model_denied/);
});

test('a search without a limit is an open offer, and its limit is written to the request', () => {
  const search = { type: 'web_search_20250305', name: 'web_search' };
  const given = [{ name: 'f', input_schema: {} }, search, { ...search, max_uses: 1 }, { ...search, max_uses: null }];
  assert.equal(demand(tools(...given)).openCalls?.tools, 2);
  const body = readBody(Buffer.from(JSON.stringify({ model: 'm', tools: given })));
  if ('problem' in body) throw new Error(body.problem);
  const sent = JSON.parse(anthropicMessages.rewrite(body, { toolCalls: 4 }).toString()) as Fields;
  const limited = [given[0], { ...search, max_uses: 4 }, given[2], { ...search, max_uses: 4 }];
  assert.deepEqual(sent, { model: 'm', tools: limited });
  assert.equal(demand(tools(...limited)).openCalls, undefined);
});

test('a limit of searches can be lowered, beside fetches that keep theirs; one that a block adds cannot', () => {
  const search = { type: 'web_search_20250305', name: 'web_search' };
  const fetch = { type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 9, max_content_tokens: 2000 };
  const at = (max_uses: number): Demand => demand(tools({ ...search, max_uses }, fetch));
  const open = reopened(at(8));
  assert.ok(open);
  for (const calls of [1, 5, 8]) {
    const { givenCalls: _, textTokens, ...lower } = at(calls);
    assert.deepEqual(withCalls(open, calls), { ...lower, textTokens });
  }
  const body = readBody(
    Buffer.from(JSON.stringify({ model: 'm', tools: [{ ...search, max_uses: 8 }, { ...search, max_uses: 2 }, fetch] })),
  );
  if ('problem' in body) throw new Error(body.problem);
  const sent = JSON.parse(anthropicMessages.rewrite(body, { toolCalls: 4 }).toString()) as Fields;
  assert.deepEqual(sent['tools'], [{ ...search, max_uses: 4 }, { ...search, max_uses: 2 }, fetch]);
  const added = content({ type: 'tool_addition', tool: { definition: { ...search, max_uses: 8 } } });
  assert.equal(reopened(demand(added)), null);
  assert.equal(reopened(demand({ ...added, ...tools(search) })), null);
});

test('the longest cache lifetime that any block asks for counts', () => {
  const cached = (more: Fields): unknown => demand(more).cacheWrite;
  const control = { type: 'ephemeral' };
  const hour = { type: 'text', text: 'x', cache_control: { ...control, ttl: '1h' } };
  assert.equal(cached({}), 'none');
  assert.equal(cached({ cache_control: control }), '5m');
  assert.equal(cached({ system: [hour] }), '1h');
  assert.equal(cached(tools({ name: 'f', cache_control: control })), '5m');
  assert.equal(cached({ ...content({ type: 'tool_result', content: [hour] }), cache_control: control }), '1h');
});

test('a provider that chooses its host is told the highest price', () => {
  const body = readBody(Buffer.from('{"model":"m","max_tokens":9}'));
  if ('problem' in body) throw new Error(body.problem);
  const sent = JSON.parse(anthropicMessages.rewrite(body, { maxPrice: { input: 3_000_000, output: 15_000_000 } }).toString()) as Fields;
  assert.deepEqual(sent['provider'], { max_price: { prompt: 3, completion: 15 } });
});
