import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI, { AzureOpenAI } from 'openai';
import type { CallBody } from '../core/audit/types.ts';
import { eventually, startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

let world: World;

before(async () => {
  world = await startWorld({
    keys: {
      'bot.yaml': keyManifest('bot'),
      'poor.yaml': keyManifest('poor', { limits: [{ window: 'Day', usd: '0.000001' }] }),
      'free.yaml': keyManifest('free', { limits: [] }),
      'narrow.yaml': keyManifest('narrow', { endpoints: { allow: ['/v1/responses'] } }),
    },
  });
});
after(() => world.close());

/** The stored records of an endpoint, once there are this many. */
function recordsOf(endpoint: string, count: number): Promise<readonly CallBody[]> {
  return eventually(async () => {
    const found = (await world.records()).filter((record) => record.endpoint === endpoint);
    return found.length >= count ? found : undefined;
  }, `${count} records of ${endpoint}`);
}

const input = [{ role: 'user', content: 'Hi' }];

test('a compaction is forwarded as it is, and charged as the response that it is', async () => {
  const body = { model: 'gpt-5.4-mini', input, instructions: 'Be brief.', service_tier: 'default', tools: [{ type: 'web_search' }] };
  const response = await world.post('/v1/responses/compact', body);
  const answer = (await response.json()) as Record<string, unknown>;
  assert.deepEqual([response.status, answer['object']], [200, 'response.compaction']);
  const call = world.provider.calls().at(-1);
  assert.deepEqual([call?.path, JSON.parse(call?.body.toString() ?? '')], ['/v1/responses/compact', body]);
  const [record] = await recordsOf('/v1/responses/compact', 1);
  assert.deepEqual([record?.code, record?.usage?.output], ['ok', 40]);
  assert.ok(Number(record?.costNanoUsd) > 0);

  const denied = await world.post('/v1/responses/compact', body, { token: world.tokenOf('narrow') });
  assert.equal(denied.status, 403);
  assert.match(await denied.text(), /"code":"endpoint_denied"/);
});

test('a compaction trigger reaches the provider byte for byte', async () => {
  const text =
    '{"model":"gpt-5.4-mini","max_output_tokens":20,"service_tier":"default","input":[{"role":"user","content":"Hi"}, {"type" : "compaction_trigger"}]}';
  const response = await fetch(`${world.proxyUrl}/v1/responses`, {
    ...{ method: 'POST', body: text },
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
  });
  assert.equal(response.status, 200, await response.text());
  assert.equal(world.provider.calls().at(-1)?.body.toString(), text);
});

const ask = { model: 'claude-haiku-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] };
const opening = { role: 'user', content: 'Hi' };
const reader = { name: 'Read', input_schema: { type: 'object' } };

/** What coding agents send in sessions with a base URL of their own, and some gateways refuse. */
const sessions: readonly (readonly [sent: string, path: string, body: Readonly<Record<string, unknown>>])[] = [
  [
    'Claude Code: adaptive thinking, an effort, edits of the context, a scope of the cache',
    '/v1/messages?beta=true',
    {
      ...{ thinking: { type: 'adaptive', display: 'omitted' }, output_config: { effort: 'medium' }, metadata: { user_id: '{}' } },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      system: [{ type: 'text', text: 'Help.', cache_control: { type: 'ephemeral', scope: 'global' } }],
    },
  ],
  [
    'Claude Code: a turn of the system that adds a tool by name and removes one',
    '/v1/messages?beta=true',
    {
      tools: [reader, { ...reader, name: 'mcp__files__read', defer_loading: true }],
      messages: [
        opening,
        {
          role: 'system',
          content: [
            { type: 'text', text: 'Tools have changed.' },
            { type: 'tool_addition', tool: { type: 'tool_reference', name: 'mcp__files__read' } },
            { type: 'tool_removal', tool: { type: 'tool_reference', name: 'Read' } },
          ],
        },
      ],
    },
  ],
  [
    'Claude Code: the result of a search for tools',
    '/v1/messages?beta=true',
    {
      tools: [reader, { ...reader, name: 'ToolSearch' }],
      messages: [
        opening,
        { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'ToolSearch', input: {} }] },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'tool_reference', tool_name: 'Read' }] }],
        },
      ],
    },
  ],
  [
    'Codex: its metadata, tools of every kind, and the items of several agents',
    '/v1/responses',
    {
      ...{ store: false, include: ['reasoning.encrypted_content'], prompt_cache_key: 'k', client_metadata: { turn_id: 't' } },
      ...{ service_tier: 'default', max_output_tokens: 100, parallel_tool_calls: true, reasoning: { summary: 'auto' } },
      tools: [
        { type: 'function', name: 'exec_command', strict: false, parameters: {} },
        { type: 'custom', name: 'apply_patch', format: { type: 'grammar', syntax: 'lark', definition: 'start: "a"' } },
        { type: 'namespace', name: 'multi_agent_v1', description: 'x', tools: [{ type: 'function', name: 'wait', parameters: {} }] },
      ],
      input: [
        { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Be brief.' }] },
        { type: 'context_compaction', encrypted_content: 'gAAAA' },
        {
          ...{ type: 'agent_message', author: '/root', recipient: '/root/worker' },
          content: [{ type: 'encrypted_content', encrypted_content: 'gAAAA' }],
        },
        { type: 'function_call', call_id: 'c', name: 'exec_command', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'done' },
      ],
    },
  ],
];

for (const [sent, path, more] of sessions)
  test(`a capped key and a key without a cap send it as it is: ${sent}`, async () => {
    const body = path === '/v1/responses' ? { model: 'gpt-5.4-mini', ...more } : { ...ask, ...more };
    for (const key of ['bot', 'free']) {
      const response = await world.post(path, body, { token: world.tokenOf(key), headers: { 'anthropic-version': '2023-06-01' } });
      assert.equal(response.status, 200, `${key}: ${await response.text()}`);
      const call = world.provider.calls().at(-1);
      assert.deepEqual([call?.path, call?.body.toString()], [path, JSON.stringify(body)], key);
    }
  });

test('a body with a byte order mark is served without it', async () => {
  const text = '{"model":"gpt-5.4-mini","max_tokens":5,"service_tier":"default","messages":[{"role":"user","content":"Hi"}]}';
  const response = await fetch(`${world.proxyUrl}/v1/chat/completions`, {
    ...{ method: 'POST', body: `\ufeff${text}` },
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
  });
  assert.equal(response.status, 200, await response.text());
  assert.equal(world.provider.calls().at(-1)?.body.toString(), text);
});

test('a vendor’s key beside the KeyForge key reaches nobody, whichever header holds which', async () => {
  const body = JSON.stringify({ model: 'claude-haiku-4-5', max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] });
  const vendor = 'sk-ant-api03-of-an-earlier-login';
  for (const headers of [
    { authorization: `Bearer ${world.token}`, 'x-api-key': vendor },
    { authorization: `Bearer ${vendor}`, 'x-api-key': world.token },
  ]) {
    const response = await fetch(`${world.proxyUrl}/v1/messages?beta=true&key=${vendor}`, { method: 'POST', body, headers });
    assert.equal(response.status, 200, await response.text());
    const call = world.provider.calls().at(-1);
    assert.doesNotMatch(JSON.stringify([call?.path, call?.headers, call?.body.toString()]), /earlier-login|vk_/);
  }
  assert.doesNotMatch(world.log.text(), /earlier-login/);
  const refused = await fetch(`${world.proxyUrl}/v1/messages`, { method: 'POST', body, headers: { 'x-api-key': vendor } });
  const text = await refused.text();
  assert.equal(refused.status, 401);
  assert.match(text, /x-api-key holds a key that KeyForge did not issue/);
  assert.doesNotMatch(text, /earlier-login/);
});

test('a text completion is charged for the answers to each of its prompts, streamed or not', async () => {
  const body = { model: 'gpt-5.4-mini', prompt: ['Say this', 'Say that'], n: 2, max_tokens: 7 };
  for (const stream of [false, true]) {
    const response = await world.post('/v1/completions', { ...body, stream });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.match(text, /"object":"text_completion"/);
    const call = world.provider.calls().at(-1);
    const expected = stream ? { ...body, stream, stream_options: { include_usage: true } } : { ...body, stream };
    assert.deepEqual(JSON.parse(call?.body.toString() ?? ''), expected);
    assert.equal(text.includes('"usage"'), !stream);
    assert.equal(response.headers.get('x-keyforge-warnings'), null);
  }
  assert.deepEqual(
    (await recordsOf('/v1/completions', 2)).map(({ code, usage }) => [code, usage?.output]),
    [
      ['ok', 28],
      ['ok', 28],
    ],
  );
  const unlimited = await world.post('/v1/completions', { model: 'gpt-5.4-mini', prompt: 'Say' });
  assert.equal(unlimited.status, 200);
  assert.equal((JSON.parse(world.provider.calls().at(-1)?.body.toString() ?? '') as { max_tokens: number }).max_tokens, 16);
});

test('moderation is free, recorded, and open to keys whose policy allows its model and endpoint', async () => {
  const answer = { id: 'modr-1', model: 'omni-moderation-latest', results: [{ flagged: false }] };
  const remove = world.provider.rule({
    fault: { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(answer) },
  });
  const body = { input: 'Hi' };
  const response = await world.post('/v1/moderations', body);
  assert.deepEqual([response.status, await response.json()], [200, answer]);
  remove();
  assert.deepEqual(JSON.parse(world.provider.calls().at(-1)?.body.toString() ?? ''), body);
  const [record] = await recordsOf('/v1/moderations', 1);
  assert.deepEqual([record?.code, record?.model, record?.costNanoUsd], ['ok', 'omni-moderation-latest', '0']);
  const denied = await world.post('/v1/moderations', body, { token: world.tokenOf('narrow') });
  assert.equal(denied.status, 403);
});

test('OpenAI’s SDK counts the tokens of a response: free, forwarded as it is, and outside the quota', async () => {
  const body = { model: 'gpt-5.4-mini', input: 'Say hello', tools: [{ type: 'web_search' as const }], previous_response_id: 'resp_1' };
  const openai = (key: string) => new OpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey: world.tokenOf(key) });
  const { input_tokens } = await openai('bot').responses.inputTokens.count(body);
  assert.ok(input_tokens > 0);
  const call = world.provider.calls().at(-1);
  assert.deepEqual([call?.path, JSON.parse(call?.body.toString() ?? '')], ['/v1/responses/input_tokens', body]);
  const [record] = await recordsOf('/v1/responses/input_tokens', 1);
  assert.deepEqual([record?.code, record?.model, record?.costNanoUsd], ['ok', 'gpt-5.4-mini', '0']);
  await assert.rejects(openai('narrow').responses.inputTokens.count(body), OpenAI.PermissionDeniedError);
});

test('OpenAI’s counting of tokens is free, and open to a key with nothing left to spend', async () => {
  const openai = new OpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey: world.tokenOf('poor'), maxRetries: 0 });
  const ask = { model: 'gpt-5.4-mini', input: 'Count this', tools: [{ type: 'web_search' as const }] };
  await assert.rejects(openai.responses.create(ask), /budget/);
  assert.ok((await openai.responses.inputTokens.count(ask)).input_tokens > 0);
  const call = world.provider.calls().at(-1);
  assert.deepEqual([call?.path, JSON.parse(call?.body.toString() ?? '')], ['/v1/responses/input_tokens', ask]);
  const record = (await recordsOf('/v1/responses/input_tokens', 3)).at(-1);
  assert.deepEqual([record?.code, record?.costNanoUsd, record?.usage], ['ok', '0', undefined]);
});

test('a background response is refused before it reaches the provider', async () => {
  const before = world.provider.calls().length;
  const response = await world.post('/v1/responses', { model: 'gpt-5.4-mini', input: 'Hi', background: true });
  assert.equal(response.status, 403);
  assert.match(await response.text(), /background/);
  assert.equal(world.provider.calls().length, before);
});

test('the official SDKs read one model’s data, and know a missing one by their own error', async () => {
  const before = world.provider.calls().length;
  const openai = new OpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey: world.token });
  const anthropic = new Anthropic({ baseURL: world.proxyUrl, apiKey: world.token });
  const gemini = new GoogleGenAI({ apiKey: world.token, httpOptions: { baseUrl: world.proxyUrl } });
  assert.equal((await openai.models.retrieve('gpt-5.4-mini')).id, 'gpt-5.4-mini');
  assert.equal((await anthropic.models.retrieve('claude-haiku-4-5')).id, 'claude-haiku-4-5');
  assert.equal((await gemini.models.get({ model: 'gemini-2.5-flash' })).name, 'models/gemini-2.5-flash');
  await assert.rejects(openai.models.retrieve('nothing'), OpenAI.NotFoundError);
  await assert.rejects(anthropic.models.retrieve('nothing'), Anthropic.NotFoundError);
  await assert.rejects(gemini.models.get({ model: 'nothing' }), /NOT_FOUND/);
  assert.equal(world.provider.calls().length, before);
});

test('the SDK of Azure and OpenAI’s older and newer calls work as they are', async () => {
  const openai = new OpenAI({ baseURL: `${world.proxyUrl}/v1`, apiKey: world.token });
  const model = 'gpt-5.4-mini';
  assert.match((await openai.completions.create({ model, prompt: 'Say hello', max_tokens: 5 })).choices[0]?.text ?? '', /\w/);
  let text = '';
  for await (const chunk of await openai.completions.create({ model, prompt: 'Say hello', max_tokens: 5, stream: true }))
    text += chunk.choices[0]?.text ?? '';
  assert.match(text, /\w/);
  assert.equal((await openai.responses.compact({ model, input: 'Hi' })).object, 'response.compaction');
  const azure = new AzureOpenAI({ endpoint: world.proxyUrl, apiKey: world.token, apiVersion: '2024-10-21' });
  const listed = (await azure.models.list()).data.map(({ id }) => id);
  assert.deepEqual(
    listed,
    (await openai.models.list()).data.map(({ id }) => id),
  );
  assert.equal((await azure.models.retrieve(model)).id, model);
  const messages = [{ role: 'user' as const, content: 'Say hello' }];
  assert.match((await azure.chat.completions.create({ model, messages })).choices[0]?.message.content ?? '', /hello/i);
  assert.equal(world.provider.calls().at(-1)?.path, '/v1/chat/completions');
});

test('a wrong base URL is the not-found error of each official SDK, and names the right one', async () => {
  const apiKey = world.token;
  const messages = [{ role: 'user' as const, content: 'Hi' }];
  const openai = (path: string) =>
    new OpenAI({ baseURL: world.proxyUrl + path, apiKey }).chat.completions.create({ model: 'gpt-5.4-mini', max_tokens: 5, messages });
  const anthropic = (path: string) =>
    new Anthropic({ baseURL: world.proxyUrl + path, apiKey }).messages.create({ model: 'claude-haiku-4-5', max_tokens: 5, messages });
  const gemini = (path: string) =>
    new GoogleGenAI({ apiKey, httpOptions: { baseUrl: world.proxyUrl + path } }).models.generateContent({
      ...{ model: 'gemini-2.5-flash', contents: 'Hi' },
    });
  // The SDKs themselves take one slash at the end away.
  for (const served of [openai('/v1/'), anthropic('/'), gemini('/')]) await served;
  const called = world.provider.calls().length;
  for (const path of ['', '/', '//v1', '/v1/v1', '/openai', '/v1beta/openai', '/v1/chat/completions'])
    await assert.rejects(openai(path), (error) => error instanceof OpenAI.NotFoundError && /mean \/v1\/chat/.test(error.message), path);
  for (const path of ['/v1', '/v1/', '//', '/anthropic', '/v1/messages'])
    await assert.rejects(
      anthropic(path),
      (error) => error instanceof Anthropic.NotFoundError && /mean \/v1\/mess/.test(error.message),
      path,
    );
  for (const path of ['/v1', '/v1beta', '/v1beta/']) await assert.rejects(gemini(path), /NOT_FOUND/, path);
  assert.equal(world.provider.calls().length, called);
});
