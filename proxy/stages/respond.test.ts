import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { refuse } from '../../core/errors.ts';
import { anthropicFamily } from '../dialect/anthropic/family.ts';
import { geminiGenerate } from '../dialect/gemini/requests.ts';
import { openaiChat } from '../dialect/openai/chat.ts';
import { openaiFamily } from '../dialect/openai/family.ts';
import { serve } from '../upstream/testbed.ts';
import { noteHeaders, type Recipient, respondFailure, respondJson, respondRefusal, respondRest } from './respond.ts';

const notes = { requestId: 'req_1' };
const chat = (response: ServerResponse): Recipient => ({ response, dialect: openaiChat, framing: 'sse' });
const broken = refuse('provider_error', 'The provider broke off.');

/** What a client receives of an answer that this function writes. */
async function answered(t: TestContext, write: (response: ServerResponse) => void): Promise<{ response: Response; text: string }> {
  const origin = await serve(t, (_, response) => write(response));
  const response = await fetch(origin, { method: 'POST', body: '{}' });
  return { response, text: await response.text() };
}

test('a refusal has the status of the one table, the advice for SDKs, and the body of the caller’s own API', async (t) => {
  const refusal = refuse('budget_reserved', 'Held by calls in flight.', { retryAfterSeconds: 0.2 });
  const { response, text } = await answered(t, (to) => respondRefusal(to, anthropicFamily, refusal, notes));
  assert.equal(response.status, 429);
  assert.deepEqual(
    ['content-type', 'x-should-retry', 'retry-after', 'x-keyforge-request-id'].map((name) => response.headers.get(name)),
    ['application/json', 'true', '1', 'req_1'],
  );
  assert.deepEqual(JSON.parse(text), {
    type: 'error',
    error: { type: 'rate_limit_error', message: 'Held by calls in flight.', code: 'budget_reserved' },
    request_id: 'req_1',
  });
});

test('a final refusal says to SDKs not to retry, and a very long wait overrides the table', async (t) => {
  const final = await answered(t, (to) => respondRefusal(to, openaiFamily, refuse('model_denied', 'No.'), notes));
  assert.deepEqual(
    [final.response.status, final.response.headers.get('x-should-retry'), final.response.headers.get('retry-after')],
    [403, 'false', null],
  );
  const long = refuse('provider_limited', 'Limited.', {
    retryAfterSeconds: 3600.5,
    retryable: false,
    providerBody: '{"error":{"code":"x"}}',
  });
  const { response, text } = await answered(t, (to) => respondRefusal(to, openaiFamily, long, notes));
  assert.deepEqual([response.headers.get('x-should-retry'), response.headers.get('retry-after')], ['false', '3601']);
  assert.equal(text, '{"error":{"code":"x"}}');
});

test('where a request was not read to its end the connection ends with the refusal', async (t) => {
  const origin = await serve(t, (_, response) => respondRefusal(response, openaiFamily, refuse('too_large', 'Too large.'), notes));
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  assert.match(text, /^HTTP\/1\.1 413 /);
  assert.match(text, /\r\nconnection: close\r\n/i);
});

test('cost, remainder and warnings are in headers where they are known; less than nothing remains as nothing', () => {
  assert.deepEqual(noteHeaders(notes), ['x-keyforge-request-id', 'req_1']);
  assert.deepEqual(noteHeaders({ ...notes, costNano: 1_500_000, remainingNano: -5, warnings: ['a', 'b'] }), [
    ...['x-keyforge-request-id', 'req_1', 'x-keyforge-cost-usd', '0.0015'],
    ...['x-keyforge-remaining-usd', '0.00', 'x-keyforge-warnings', 'a; b'],
  ]);
});

test('a whole answer goes out with its own headers, its length and ours', async (t) => {
  const { response, text } = await answered(t, (to) =>
    respondRest(
      chat(to),
      { kind: 'whole', status: 201, headers: ['content-type', 'text/x', 'x-request-id', 'up-1'], body: Buffer.from('höhe') },
      { ...notes, costNano: 1 },
    ),
  );
  assert.deepEqual([response.status, text], [201, 'höhe']);
  assert.deepEqual(
    ['content-type', 'content-length', 'x-request-id', 'x-keyforge-cost-usd'].map((name) => response.headers.get(name)),
    ['text/x', '5', 'up-1', '0.000000001'],
  );
  const own = await answered(t, (to) => respondJson(to, 200, { keys: [] }, 'req_1'));
  assert.deepEqual([own.text, own.response.headers.get('x-keyforge-request-id')], ['{"keys":[]}', 'req_1']);
});

test('a stream that must not end cleanly ends with the dialect’s error event', async (t) => {
  const { text } = await answered(t, (to) => {
    to.writeHead(200, { 'content-type': 'text/event-stream' });
    to.write('data: {}\n\n');
    respondRest(chat(to), { kind: 'refusal', refusal: broken }, notes);
  });
  const [, event] = text.split('\n\n');
  assert.equal(JSON.parse(event?.replace('data: ', '') ?? '').error.code, 'provider_error');
  assert.ok(!text.includes('[DONE]'));
});

test('a stream of one JSON array ends as an array that has the error as its last item', async (t) => {
  const { text } = await answered(t, (to) => {
    to.writeHead(200);
    to.write('[{"a":1}');
    respondFailure({ response: to, dialect: geminiGenerate, framing: 'array' }, broken, notes);
  });
  const [first, last] = JSON.parse(text);
  assert.deepEqual([first, last.error.code, last.error.details[0].metadata.code], [{ a: 1 }, 502, 'provider_error']);
});

test('the rest of an answer is sent once: a whole one, a refusal, an end, or nothing', async (t) => {
  const body = Buffer.from('{"id":1}');
  const whole = await answered(t, (to) => respondRest(chat(to), { kind: 'whole', status: 400, headers: [], body }, notes));
  assert.deepEqual([whole.response.status, whole.text], [400, '{"id":1}']);
  const refusal = await answered(t, (to) => respondRest(chat(to), { kind: 'refusal', refusal: broken }, notes));
  assert.deepEqual([refusal.response.status, JSON.parse(refusal.text).error.code], [502, 'provider_error']);
  const end = await answered(t, (to) => {
    to.writeHead(200).write('data: [DONE]\n\n');
    respondRest(chat(to), { kind: 'end' }, notes);
  });
  assert.equal(end.text, 'data: [DONE]\n\n');
  const nothing = await answered(t, (to) => {
    respondRest(chat(to), { kind: 'nothing' }, notes);
    assert.equal(to.headersSent, false);
    to.writeHead(204).end();
  });
  assert.equal(nothing.response.status, 204);
});

test('after a first answer, or without anyone there, nothing more is written', async (t) => {
  const { response, text } = await answered(t, (to) => {
    respondRefusal(to, openaiFamily, refuse('key_revoked', 'Deleted.'), notes);
    respondRefusal(to, openaiFamily, broken, notes);
    respondRest(chat(to), { kind: 'whole', status: 200, headers: [], body: Buffer.from('late') }, notes);
    respondFailure(chat(to), broken, notes);
  });
  assert.deepEqual([response.status, JSON.parse(text).error.code], [401, 'key_revoked']);
  const gone = answered(t, (to) => {
    to.destroy();
    respondRefusal(to, openaiFamily, broken, notes);
    respondFailure(chat(to), broken, notes);
  });
  await assert.rejects(gone);
});
