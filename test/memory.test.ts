import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { simulatedModels } from '../simulator/models.ts';
import { startUp, type Up } from './cli.ts';
import { credentialValue, eventually } from './harness.ts';
import { keyManifest, poolManifest } from './manifests.ts';

/** What the image runs with (`Dockerfile.proxy`). */
const environment = {
  NODE_OPTIONS: '--max-semi-space-size=8 --max-old-space-size=128',
  ...{ MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_ARENA_MAX: '2' },
  KEYFORGE_SECRET_OPENAI_MAIN: credentialValue('openai'),
  KEYFORGE_SECRET_ANTHROPIC_MAIN: credentialValue('anthropic'),
  KEYFORGE_SECRET_GEMINI_MAIN: credentialValue('gemini'),
};
const providers = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' } as const;
const answer = JSON.stringify({
  ...{ id: 'chatcmpl-1', object: 'chat.completion', model: 'gpt-5.4-mini' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'seen' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 10, total_tokens: 1010 },
});
const answerMs = 1_500;

let provider: Server;
let root: string;
let up: Up;

before(async () => {
  provider = createServer((request, response) => {
    request.resume().on('end', () => setTimeout(() => response.setHeader('content-type', 'application/json').end(answer), answerMs));
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  root = await mkdtemp(join(tmpdir(), 'keyforge-memory-'));
  const manifests = await mkdtemp(join(root, 'manifests-'));
  const endpoint = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  for (const family of ['openai', 'anthropic', 'gemini'] as const) {
    const models = simulatedModels.filter((model) => model.family === family);
    await writeFile(join(manifests, `${family}.yaml`), poolManifest({ name: family, provider: providers[family], endpoint, models }));
  }
  for (const [name, usd] of Object.entries({ bot: '1000.00', honest: '20.00', poor: '0.000001' }))
    await writeFile(join(manifests, `${name}.yaml`), keyManifest(name, { limits: [{ window: 'Day', usd }] }));
  up = await startUp(manifests, join(root, 'data'), environment);
});
after(async () => {
  await up.kill('SIGTERM');
  provider.closeAllConnections();
  provider.close();
  await rm(root, { recursive: true, force: true });
});

/** The status of a call, with the code of a refusal. */
async function post(key: string, body: string | Buffer, path = '/v1/chat/completions'): Promise<string> {
  const response = await fetch(up.proxyUrl + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${up.tokenOf(key)}`, 'content-type': 'application/json' },
    body,
  });
  const text = await response.text();
  if (response.status === 503) assert.ok(Number(response.headers.get('retry-after')) >= 1);
  return response.ok ? `${response.status}` : `${response.status} ${/"code":"(\w+)"/.exec(text)?.[1]}`;
}

async function spentUsd(key: string): Promise<number> {
  const self = await fetch(`${up.proxyUrl}/keyforge/v1/self`, { headers: { authorization: `Bearer ${up.tokenOf(key)}` } });
  const { limits } = (await self.json()) as { readonly limits: readonly { readonly spentUsd: string }[] };
  return Number(limits[0]?.spentUsd);
}

function pictures(count: number, bytes: number): string {
  const url = `data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAADwf7zU${'A'.repeat(bytes)}`;
  const content = Array.from({ length: count }, () => ({ type: 'image_url', image_url: { url } }));
  return JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: 10, messages: [{ role: 'user', content }] });
}

function tally(outcomes: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries([...Map.groupBy(outcomes, (outcome) => outcome)].map(([outcome, { length }]) => [outcome, length]));
}

const honest = JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] });

test('forty calls with a large picture at once: each is served or told to wait, and a small call is served', async () => {
  const body = pictures(1, 4 * 1024 * 1024);
  const large = Array.from({ length: 40 }, () => post('bot', body));
  await pause(300);
  assert.equal(await post('honest', honest), '200');
  const outcomes = tally(await Promise.all(large));
  assert.deepEqual(Object.keys(outcomes).sort(), ['200', '503 overloaded'], JSON.stringify(outcomes));
  assert.ok((outcomes['200'] ?? 0) >= 5, JSON.stringify(outcomes));
});

/** Forty pictures of 700 kB, as each of the other APIs has them. */
function screenshots(): Readonly<Record<string, object>> {
  const data = `iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAADwf7zU${'A'.repeat(700_000)}`;
  const forty = (picture: object): readonly object[] => Array.from({ length: 40 }, () => picture);
  const input = [{ role: 'user', content: forty({ type: 'input_image', image_url: `data:image/png;base64,${data}` }) }];
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } };
  const shown = forty({ type: 'tool_result', tool_use_id: 'toolu_1', content: [image] });
  const parts = forty({ inlineData: { mimeType: 'image/png', data } });
  return {
    '/v1/responses': { model: 'gpt-5.4-mini', max_output_tokens: 100, input },
    '/v1/messages': { model: 'claude-haiku-4-5', max_tokens: 10, messages: [{ role: 'user', content: shown }] },
    '/v1beta/models/gemini-2.5-flash:generateContent': { contents: [{ role: 'user', parts }], generationConfig: { maxOutputTokens: 10 } },
  };
}

test('a call of forty screenshots is served in every API, and three at once are each served or told to wait', async () => {
  assert.equal(await post('bot', pictures(40, 700_000)), '200');
  for (const [path, value] of Object.entries(screenshots())) {
    const body = Buffer.from(JSON.stringify(value));
    assert.equal(await post('bot', body, path), '200', path);
    const outcomes = await Promise.all([1, 2, 3].map(() => post('bot', body, path)));
    for (const outcome of outcomes) assert.match(outcome, /^(200|503 overloaded)$/, path);
    assert.ok(outcomes.includes('200'), path);
  }
});

test('hostile bodies neither end the process nor cost others their money', async () => {
  const hostile = Buffer.from(`{"model":"gpt-5.4-mini","x":[${'[],'.repeat((8 * 1024 * 1024) / 3)}1]}`);
  const others = Array.from({ length: 15 }, () => post('honest', honest));
  await pause(100);
  const attacks = Promise.all(Array.from({ length: 8 }, () => post('poor', hostile)));
  assert.deepEqual(tally(await Promise.all(others)), { 200: 15 });
  for (const outcome of await attacks) assert.match(outcome, /^(400 invalid_request|402 budget_exhausted|503 overloaded)$/);
  const billedUsd = (16 * (1000 * 0.75e-6 + 10 * 4.5e-6)).toFixed(5);
  await eventually(async () => ((await spentUsd('honest')).toFixed(5) === billedUsd ? true : undefined), `a spend of $${billedUsd}`);
});

test('a body over all that the process can hold is refused as too large', async () => {
  const response = await fetch(`${up.metricsUrl}/metrics`);
  assert.match(await response.text(), /^keyforge_body_bytes 0$/m);
  assert.equal(await post('bot', Buffer.alloc(33 * 1024 * 1024, ' ')), '413 too_large');
});
