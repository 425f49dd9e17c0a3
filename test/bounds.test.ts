import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, startWorld, type World } from './harness.ts';
import { keyManifest } from './manifests.ts';

const path = '/v1/chat/completions';
const ask = { model: 'gpt-5.4-mini', max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }] };
const keys = { 'bot.yaml': keyManifest('bot', { limits: [{ window: 'Day', usd: '20.00' }] }) };

interface Lesson {
  readonly pool: string;
  readonly model: string;
  readonly feature: string;
  readonly percent: number;
  readonly refused: boolean;
}

/** Has the provider claim this many output tokens for one call; returns its status. */
async function billed(world: World, completion_tokens: number): Promise<number> {
  const usage = { prompt_tokens: 9, completion_tokens, total_tokens: 9 + completion_tokens };
  const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }];
  const answer = { id: 'c', object: 'chat.completion', model: ask.model, choices, usage };
  const body = JSON.stringify(answer);
  world.provider.rule({ times: 1, fault: { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body } });
  return (await world.post(path, ask)).status;
}

function admin(world: World, url: string, body?: object): Promise<Response> {
  const token = readFileSync(join(world.dataDir, 'admin.token'), 'utf8').trim();
  const base = readFileSync(join(world.dataDir, 'admin.url'), 'utf8').trim();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return fetch(new URL(url, base), { headers, ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }) });
}

async function lessons(world: World): Promise<readonly Lesson[]> {
  return ((await (await admin(world, '/v1/pools')).json()) as { readonly learned: readonly Lesson[] }).learned;
}

test('a bill above its bound is charged in full, counted, and widens the bound of its pool, model and feature', async () => {
  await using world = await startWorld({ keys });
  assert.equal(await billed(world, 5000), 200);
  const learned = await eventually(async () => ((await lessons(world)).length > 0 ? lessons(world) : undefined), 'a lesson');
  const [call] = await world.records(1);
  // 9 × 0.75 and 5,000 × 4.50 dollars a million.
  assert.equal(call?.costNanoUsd, '22506750');
  assert.deepEqual(
    learned.map(({ pool, model, feature, refused }) => [pool, model, feature, refused]),
    [['keyforge-system/openai', ask.model, 'text', false]],
  );
  assert.ok((learned[0]?.percent ?? 0) > 1000, JSON.stringify(learned));
  const metrics = await (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  assert.match(metrics, /keyforge_bound_breaches_total\{pool="keyforge-system\/openai",model="gpt-5\.4-mini"\} 1/);
  assert.equal((await world.post(path, ask)).status, 200);
});

test('a bill that no call can run up refuses its feature on capped keys, until somebody acknowledges it', async () => {
  await using world = await startWorld({ keys });
  assert.equal(await billed(world, 500_000), 200);
  const refused = await eventually(async () => {
    const response = await world.post(path, ask);
    return response.status === 403
      ? ((await response.json()) as { readonly error: { readonly code: string; readonly message: string } })
      : undefined;
  }, 'the refusal');
  assert.equal(refused.error.code, 'unmeterable_request');
  assert.match(refused.error.message, /impossibly high.*acknowledged/);
  assert.equal((await admin(world, '/v1/pools/keyforge-system/openai/acknowledge', { reason: 'the provider corrected it' })).status, 200);
  await eventually(async () => ((await world.post(path, ask)).status === 200 ? true : undefined), 'calls to be served again');
  assert.deepEqual(await lessons(world), []);
});

test('a request that continues an answer is bounded by what that answer used, once its size is known', async () => {
  await using world = await startWorld({ keys: { 'bot.yaml': keyManifest('bot', { limits: [{ window: 'Day', usd: '1.00' }] }) } });
  const respond = (more: object): Promise<Response> =>
    world.post('/v1/responses', { model: 'gpt-5.4', input: 'Hi', max_output_tokens: 100, ...more });
  const first = (await (await respond({})).json()) as { readonly id: string };
  assert.equal((await respond({ previous_response_id: first.id })).status, 200);
  assert.equal((await respond({ previous_response_id: 'resp_of_somebody_else' })).status, 403);
});
