import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { CallBody } from '../core/audit/types.ts';
import type { ProviderKind } from '../core/manifest/providers.ts';
import { createWorld, poolDocument } from './line.fixture.ts';
import { serve as serveLine } from './line.ts';
import { json, serve } from './upstream/testbed.ts';

interface Plan {
  readonly provider?: ProviderKind;
  readonly freeErrors?: true;
  readonly path?: string;
  readonly body?: object;
  readonly answer: (response: ServerResponse) => void;
}

interface Charged {
  readonly costNano: number;
  readonly estimated: boolean;
  /** Dollars by labels of `keyforge_free_errors_held_usd_total`. */
  readonly heldFree: readonly string[];
}

/** One call of an uncapped key, whose bound is what it reserves, to a provider that answers so. */
async function charge(t: TestContext, { provider = 'OpenAI', freeErrors, path, body, answer }: Plan): Promise<Charged> {
  const endpoint = await serve(t, (request, response) => void request.resume().on('end', () => answer(response)));
  const pool = poolDocument({ provider, endpoint, ...(freeErrors === undefined ? {} : { freeErrors }) });
  const world = createWorld(t, { pools: [pool] });
  const origin = await serve(t, (request, response) => void serveLine(world.context, request, response));
  const response = await fetch(origin + (path ?? '/v1/chat/completions'), {
    method: 'POST',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5000, ...body }),
  });
  await response.text();
  const [entry] = world.purse.entries as readonly CallBody[];
  assert.ok(entry !== undefined);
  const metrics = (await world.metrics()).split('\n').filter((line) => line.startsWith('keyforge_free_errors_held_usd_total'));
  return { costNano: Number(entry.costNanoUsd), estimated: entry.estimated, heldFree: metrics };
}

/** More than 5,000 tokens of output at 2 nano-USD: only the bound is so much. */
function isBound({ costNano, estimated }: Charged): boolean {
  return costNano > 10_000 && estimated;
}

const filtered = { error: { message: 'filtered', code: 'content_filter', innererror: { code: 'ResponsibleAIPolicyViolation' } } };

test('a rejected request costs nothing, and the dollars that were held for it are counted', async (t) => {
  const charged = await charge(t, { answer: (response) => json(response, 400, { error: { message: 'bad' } }) });
  assert.deepEqual([charged.costNano, charged.estimated], [0, false]);
  assert.match(charged.heldFree[0] ?? '', /\{pool="platform\/openai",status="400",code="http_400"\} 0\.0000\d+$/);
});

test('a prompt that Azure’s content filter refuses costs the bound', async (t) => {
  const charged = await charge(t, { provider: 'AzureOpenAI', answer: (response) => json(response, 400, filtered) });
  assert.ok(isBound(charged));
  assert.deepEqual(charged.heldFree, []);
});

test('an error with usage costs what it used', async (t) => {
  const usage = { prompt_tokens: 100, completion_tokens: 50 };
  const charged = await charge(t, { answer: (response) => json(response, 429, { error: { message: 'late' }, usage }) });
  assert.deepEqual([charged.costNano, charged.estimated], [200, false]);
});

test('a 502 of a server of unknown make costs the bound, and nothing if its pool says so', async (t) => {
  const answer = (response: ServerResponse): void => void response.writeHead(502).end('<html>');
  assert.ok(isBound(await charge(t, { provider: 'OpenAICompatible', answer })));
  assert.equal((await charge(t, { provider: 'OpenAICompatible', answer, freeErrors: true })).costNano, 0);
});

test('a stream that begins with an error and goes on to an answer costs what the answer used', async (t) => {
  const events = [
    { error: { code: 'invalid_prompt' } },
    { choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 9, completion_tokens: 4 } },
  ];
  const text = `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
  const answer = (response: ServerResponse): void => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text);
  assert.deepEqual(await charge(t, { body: { stream: true }, answer }).then(({ costNano }) => costNano), 17);
});

test('an answer too large to hold costs what it used', async (t) => {
  const large = { choices: [{ message: { content: 'x'.repeat(9_000_000) } }], usage: { prompt_tokens: 9, completion_tokens: 4 } };
  const charged = await charge(t, { answer: (response) => json(response, 200, large) });
  assert.deepEqual([charged.costNano, charged.estimated], [17, false]);
});
