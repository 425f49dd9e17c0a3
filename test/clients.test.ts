import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

let world: World;

before(async () => {
  world = await startWorld({
    keys: {
      'bot.yaml': keyManifest('bot'),
      'narrow.yaml': keyManifest('narrow', { endpoints: { allow: ['/v1/responses'] } }),
    },
  });
});
after(() => world.close());

const input = [{ role: 'user', content: 'Hi' }];

test('a compaction is forwarded as it is, and charged as the response that it is', async () => {
  const body = { model: 'gpt-5.4-mini', input, instructions: 'Be brief.', service_tier: 'default', tools: [{ type: 'web_search' }] };
  const response = await world.post('/v1/responses/compact', body);
  const answer = (await response.json()) as Record<string, unknown>;
  assert.deepEqual([response.status, answer['object']], [200, 'response.compaction']);
  const call = world.provider.calls().at(-1);
  assert.deepEqual([call?.path, JSON.parse(call?.body.toString() ?? '')], ['/v1/responses/compact', body]);
  const record = (await world.records(1)).at(-1);
  assert.deepEqual([record?.endpoint, record?.code], ['/v1/responses/compact', 'ok']);
  assert.equal(record?.usage?.output, 40);
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

test('a background response is refused before it reaches the provider', async () => {
  const before = world.provider.calls().length;
  const response = await world.post('/v1/responses', { model: 'gpt-5.4-mini', input: 'Hi', background: true });
  assert.equal(response.status, 403);
  assert.match(await response.text(), /background/);
  assert.equal(world.provider.calls().length, before);
});
