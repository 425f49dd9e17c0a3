import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startWorld } from './harness.ts';

const page = 'http://localhost:3000';
const stranger = 'https://stranger.example';
const messages = [{ role: 'user' as const, content: 'Hi' }];

function preflight(url: string, origin: string): Promise<Response> {
  const asked = 'authorization,content-type,x-stainless-os';
  const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': asked };
  return fetch(url, { method: 'OPTIONS', headers });
}

test('a page of an allowed origin gets its preflight without a key, and every answer names its origin', async () => {
  await using world = await startWorld({ allowedOrigins: [page] });
  for (const path of [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/messages',
    '/v1beta/models/gemini-2.5-flash:generateContent',
    '/v1/models',
  ]) {
    const answer = await preflight(world.proxyUrl + path, page);
    assert.equal(answer.status, 204, path);
    assert.deepEqual(
      ['allow-origin', 'allow-methods', 'allow-headers', 'allow-credentials'].map((name) => answer.headers.get(`access-control-${name}`)),
      [page, 'GET, POST, DELETE', 'authorization,content-type,x-stainless-os', null],
    );
    assert.match(answer.headers.get('vary') ?? '', /origin/);
  }
  const body = { model: 'gpt-5.4-mini', max_tokens: 5, messages };
  for (const [status, token, sent] of [
    [200, world.token, body],
    [200, world.token, { ...body, stream: true }],
    [401, 'vk_unknown', body],
    [400, world.token, '{'],
  ] as const) {
    const answer = await world.post('/v1/chat/completions', sent, { token, headers: { origin: page } });
    await answer.text();
    assert.deepEqual(
      [answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('access-control-expose-headers')],
      [status, page, '*'],
    );
  }
  const listed = await fetch(`${world.proxyUrl}/v1/models`, { headers: { origin: page, authorization: `Bearer ${world.token}` } });
  assert.deepEqual([listed.status, listed.headers.get('access-control-allow-origin')], [200, page]);
  assert.ok(world.provider.calls().every(({ headers }) => headers['origin'] === undefined));
});

test('the SDKs in a page are served, streamed too', async () => {
  await using world = await startWorld({ allowedOrigins: [page] });
  const more = { apiKey: world.token, dangerouslyAllowBrowser: true, defaultHeaders: { origin: page } };
  const openai = new OpenAI({ baseURL: `${world.proxyUrl}/v1`, ...more });
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ model: 'gpt-5.4-mini', max_tokens: 5, messages, stream: true }))
    text += chunk.choices[0]?.delta.content ?? '';
  assert.match(text, /\w/);
  const anthropic = new Anthropic({ baseURL: world.proxyUrl, ...more });
  assert.equal((await anthropic.messages.create({ model: 'claude-haiku-4-5', max_tokens: 5, messages })).role, 'assistant');
});

test('a page of another origin, and every page where none is allowed, gets no preflight and no answer that it may read', async () => {
  for (const allowedOrigins of [[page], []]) {
    await using world = await startWorld({ allowedOrigins });
    for (const origin of [stranger, 'null', `${page}.stranger.example`, 'http://localhost:30000', 'http://LOCALHOST:3000']) {
      const refused = await preflight(`${world.proxyUrl}/v1/chat/completions`, origin);
      assert.equal(refused.status, 404);
      assert.match(await refused.text(), /--allowed-origins/);
      const answer = await world.post('/v1/messages/count_tokens', { model: 'claude-haiku-4-5', messages }, { headers: { origin } });
      await answer.text();
      for (const { headers } of [refused, answer]) assert.equal(headers.get('access-control-allow-origin'), null);
    }
  }
});
