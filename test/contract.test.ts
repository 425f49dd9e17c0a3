import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { simulatedModels } from '../simulator/models.ts';
import { credentialValue, eventually, startWorld, type World } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

/** Sends bytes to the agents' port; resolves with what came back, or the error's code, once it is as wanted or the connection has ended. */
function speak(world: World, text: string, more: { readonly resetMs?: number; readonly wanted?: RegExp } = {}): Promise<string> {
  const { hostname, port } = new URL(world.proxyUrl);
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(Number(port), hostname, () => {
      socket.write(text);
      if (more.resetMs !== undefined) setTimeout(() => socket.resetAndDestroy(), more.resetMs);
    });
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (more.wanted?.test(heard)) socket.destroy();
    });
    socket.on('error', (error) => {
      heard += `[${error.message}]`;
    });
    socket.on('close', () => resolve(heard));
    socket.setTimeout(20_000, () => socket.destroy());
  });
}

test('a socket that asks for an upgrade or a tunnel and is reset ends nothing but itself', async () => {
  await using world = await startWorld();
  const upgrade = 'GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const tunnel = 'CONNECT provider:443 HTTP/1.1\r\nHost: x\r\n\r\n';
  for (const text of [upgrade, tunnel]) for (const resetMs of [0, 1, 5, 20]) await speak(world, text, { resetMs });
  const required = /^HTTP\/1\.1 426 Upgrade Required.*\r\nupgrade: HTTP\/1\.1\r\nconnection: upgrade, close.*"code":"(\w+)"/s;
  assert.equal(required.exec(await speak(world, upgrade, { wanted: required }))?.[1], 'upgrade_required');
  const nowhere = upgrade.replace('/v1/responses', '/v1/realtime');
  const notFound = /^HTTP\/1\.1 404 .*"code":"not_found"/s;
  assert.match(await speak(world, nowhere, { wanted: notFound }), notFound);
  assert.deepEqual(world.provider.calls(), []);
  assert.equal(await speak(world, tunnel), '');
});

test('a method that is no route is a 404 that says so, and HEAD gets no body', async () => {
  await using world = await startWorld();
  for (const [method, path] of [
    ['HEAD', '/v1/models'],
    ['HEAD', '/'],
    ['OPTIONS', '/v1/chat/completions'],
    ['OPTIONS', '*'],
    ['TRACE', '/v1/messages'],
    ['PUT', '/v1/responses'],
  ] as const) {
    const heard = await speak(world, `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(heard, /^HTTP\/1\.1 404 .*\r\n\r\n/s, `${method} ${path}`);
    const body = heard.slice(heard.indexOf('\r\n\r\n') + 4);
    if (method === 'HEAD') assert.equal(body, '');
    else assert.ok(body.includes(`There is no route ${method} ${path}`), body);
  }
  assert.deepEqual(world.provider.calls(), []);
});

test('a client that offers HTTP/2 in the clear, as Java’s does, is served in HTTP/1.1', async () => {
  await using world = await startWorld();
  const body = JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] });
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    'Host: x',
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
    `Authorization: Bearer ${world.token}`,
    `Content-Length: ${body.length}`,
  ];
  const served = /^HTTP\/1\.1 200 /;
  assert.match(await speak(world, `${head.join('\r\n')}\r\n\r\n${body}`, { wanted: served }), served);
  assert.equal(world.provider.calls()[0]?.headers['upgrade'], undefined);
});

const chat = { model: 'gpt-5.4-mini', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] };
const searching = {
  model: 'gpt-5.4-mini',
  max_output_tokens: 500,
  input: 'Hi',
  tools: [{ type: 'web_search', external_web_access: false }],
};

test('web search without a limit, as Codex offers it, gets one on a capped key and is charged within its bound', async () => {
  await using world = await startWorld({
    keys: {
      'keys.yaml': [
        keyManifest('bot', { limits: [{ window: 'Day', usd: '10.00' }] }),
        keyManifest('poor', { limits: [{ window: 'Day', usd: '0.30' }] }),
        keyManifest('broke', { limits: [{ window: 'Day', usd: '0.10' }] }),
        keyManifest('free', { limits: [] }),
      ].join('---\n'),
    },
  });
  const sent = (): unknown => JSON.parse(world.provider.calls().at(-1)?.body.toString() ?? '{}');

  const rich = await world.post('/v1/responses', searching);
  assert.equal(rich.status, 200);
  assert.equal(rich.headers.get('x-keyforge-warnings'), 'calls of hosted tools limited to 5');
  assert.deepEqual(sent(), { ...searching, max_tool_calls: 5, service_tier: 'default' });

  const poor = await world.post('/v1/responses', searching, { token: world.tokenOf('poor') });
  assert.equal(poor.status, 200);
  assert.match(poor.headers.get('x-keyforge-warnings') ?? '', /^calls of hosted tools limited to [12]$/);

  const broke = await world.post('/v1/responses', searching, { token: world.tokenOf('broke') });
  assert.equal(broke.status, 403);
  assert.match(await broke.text(), /"code":"request_too_expensive"/);

  const free = await world.post('/v1/responses', searching, { token: world.tokenOf('free') });
  assert.deepEqual([free.status, free.headers.get('x-keyforge-warnings')], [200, null]);
  assert.deepEqual(sent(), searching);

  const own = await world.post('/v1/responses', { ...searching, max_tool_calls: 1 });
  assert.deepEqual([own.status, own.headers.get('x-keyforge-warnings')], [200, null]);
});

test('a pool that is deleted, or no longer admits a key, serves it no more within a second, whatever the key’s manifest says', async () => {
  const gone: string[] = [];
  let pools = '';
  await using world = await startWorld({
    pools: (url) => {
      const shape = { endpoint: url, models: simulatedModels.filter(({ family }) => family === 'openai') };
      pools = poolManifest({ name: 'openai', provider: 'OpenAI', ...shape });
      return pools;
    },
    keys: { 'bot.yaml': keyManifest('bot', { pools: [{ name: 'openai', namespace: 'keyforge-system' }] }) },
  });
  world.standalone.onReload((problems) => gone.push(...problems));
  const becomes = (status: number): Promise<true> =>
    eventually(async () => ((await world.post('/v1/chat/completions', chat)).status === status ? true : undefined), `status ${status}`);
  await becomes(200);
  await world.edit('pools.yaml', pools.replace('namespaceSelector: {}', 'namespaceSelector: {matchLabels: {consumer: "yes"}}'));
  await becomes(403);
  await world.edit('pools.yaml', pools);
  await becomes(200);
  await world.remove('pools.yaml');
  await becomes(403);
  await world.edit('pools.yaml', pools);
  await becomes(200);
  assert.deepEqual(gone, []);
});

test('a provider that repeats our credential in an answer that went well, or in an error event, does not hand it to the agent', async () => {
  await using world = await startWorld();
  const secret = credentialValue('openai');
  const headers = { 'x-echo': secret };
  const answers = [
    [{ 'content-type': 'application/json', ...headers }, `{"id":"x","model":"gpt-5.4-mini","choices":[],"note":"${secret}"}`],
    [{ 'content-type': 'text/event-stream', ...headers }, `data: {"error":{"message":"oops ${secret}","code":"weird"}}\n\n`],
    [{ 'content-type': 'text/event-stream', ...headers }, `data: {"choices":[{"delta":{"content":"${secret}"}}]}\n\ndata: [DONE]\n\n`],
  ] as const;
  for (const [answerHeaders, body] of answers) {
    const remove = world.provider.rule({ fault: { kind: 'answer', status: 200, headers: answerHeaders, body } });
    const response = await world.post('/v1/chat/completions', { ...chat, stream: body.startsWith('data:') });
    const seen = `${JSON.stringify([...response.headers])} ${await response.text()}`;
    assert.match(seen, /\[redacted\].* .*\[redacted\]/s);
    assert.ok(!seen.includes(secret));
    remove();
  }
});

test('in no API does an answer, a stream, an error or a header hand on a credential that the provider repeats, in whatever form', async () => {
  await using world = await startWorld();
  const contents = [{ role: 'user', parts: [{ text: 'Hi' }] }];
  const gemini = '/v1beta/models/gemini-2.5-flash:';
  const apis = [
    ['openai', '/v1/chat/completions', chat],
    ['openai', '/v1/responses', { model: 'gpt-5.4-mini', max_output_tokens: 20, input: 'Hi' }],
    ['openai', '/v1/responses/compact', { model: 'gpt-5.4-mini', input: 'Hi' }],
    ['openai', '/v1/responses/input_tokens', { model: 'gpt-5.4-mini', input: 'Hi' }],
    ['openai', '/v1/completions', { model: 'gpt-5.4-mini', max_tokens: 5, prompt: 'Hi' }],
    ['anthropic', '/v1/messages', { ...chat, model: 'claude-haiku-4-5' }],
    ['anthropic', '/v1/messages/count_tokens', { model: 'claude-haiku-4-5', messages: chat.messages }],
    ['gemini', `${gemini}generateContent`, { contents }],
    ['gemini', `${gemini}streamGenerateContent`, { contents }],
    ['gemini', `${gemini}streamGenerateContent?alt=sse`, { contents }],
    ['gemini', `${gemini}countTokens`, { contents }],
  ] as const;
  for (const [pool, path, body] of apis) {
    const secret = credentialValue(pool);
    const escaped = [...secret].map((letter) => `\\u00${letter.charCodeAt(0).toString(16)}`).join('');
    for (const form of [secret, Buffer.from(`Bearer ${secret}`).toString('base64'), escaped]) {
      const note = `{"note":"it was ${form}."}`;
      for (const [status, type, text] of [
        [200, 'application/json', note],
        [200, 'text/event-stream', `data: ${note}\n\n`],
        [400, 'application/json', `{"error":{"message":"it was ${form}."}}`],
      ] as const) {
        const headers = { 'content-type': type, ...(form === escaped ? {} : { 'x-echo': form }) };
        const remove = world.provider.rule({ fault: { kind: 'answer', status, headers, body: text } });
        const response = await world.post(path, type === 'text/event-stream' && pool !== 'gemini' ? { ...body, stream: true } : body);
        const seen = `${JSON.stringify([...response.headers])} ${await response.text()}`;
        assert.ok(!seen.includes(form), `${path} ${status} ${type}: ${seen}`);
        assert.equal(world.provider.calls().at(-1)?.path.split('?')[0], path.split('?')[0], seen);
        remove();
      }
    }
  }
});

test('a sub-agent key ends by the name that it was asked for with', async () => {
  await using world = await startWorld({
    keys: { 'bot.yaml': keyManifest('bot', { delegation: { maxDepth: 1, maxChildren: 2 }, limits: [{ window: 'Day', usd: '1.00' }] }) },
  });
  const minted = await world.post('/keyforge/v1/keys', { name: 'researcher', usd: '0.10' });
  const { key } = (await minted.json()) as { key: string };
  assert.equal((await world.post('/v1/chat/completions', chat, { token: key })).status, 200);
  const headers = { authorization: `Bearer ${world.token}` };
  const ended = await fetch(`${world.proxyUrl}/keyforge/v1/keys/researcher`, { method: 'DELETE', headers });
  assert.deepEqual([ended.status, await ended.json()], [200, { deleted: 'agents/bot.researcher' }]);
  assert.equal((await world.post('/v1/chat/completions', chat, { token: key })).status, 401);
});
