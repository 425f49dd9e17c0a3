import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { poolName } from '../../core/names.ts';
import { readBody } from '../dialect/json.ts';
import { openaiChat } from '../dialect/openai/chat.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import { createWorld, demand, keyDocument, openai, poolDocument, price } from '../line.fixture.ts';
import { mistral } from '../provider/mistral.ts';
import { openAi } from '../provider/openai.ts';
import type { Provider } from '../provider/types.ts';
import { json, limited, serve } from '../upstream/testbed.ts';
import type { Flight } from '../upstream/types.ts';
import { type Reachable, type SendInput, type Sent, send } from './send.ts';

const second = poolName('platform', 'second');

interface Seen {
  readonly path: string;
  readonly key: string;
  readonly body: Record<string, unknown>;
}

interface Bed {
  readonly seen: Seen[];
  /** Dispatches, flights and requests that arrived, in order. */
  readonly log: string[];
  send(more?: Partial<SendInput>): Promise<Sent>;
}

/** Two pools on one loopback provider, with an answer for each credential. */
async function createBed(
  t: TestContext,
  provider: (key: string, response: ServerResponse) => void,
  second_: Provider = openAi,
): Promise<Bed> {
  const seen: Seen[] = [];
  const log: string[] = [];
  const origin = await serve(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const key = (request.headers.authorization ?? '').replace('Bearer sk-', '');
      // A request of the proxy's own, about the credential, is answered like the call.
      if (request.method !== 'GET') {
        log.push(`seen ${key}`);
        seen.push({ path: request.url ?? '', key, body: JSON.parse(Buffer.concat(chunks).toString()) });
      }
      provider(key, response);
    });
  });
  const pools = [
    poolDocument({
      endpoint: origin,
      keys: [
        { name: 'a', quotaScope: 'a' },
        { name: 'b', quotaScope: 'b' },
      ],
    }),
    poolDocument({ pool: second, provider: second_.kind, endpoint: origin, keys: [{ name: 'c', quotaScope: 'c' }] }),
  ];
  const { context } = createWorld(t, { pools });
  const candidates: Reachable[] = pools.map((pool, i) => {
    const speaks = i === 0 ? openAi : second_;
    return { pool, model: 'm', upstreamModel: i === 0 ? 'm' : 'm-2', price: price(), provider: speaks, overhead: speaks.overheadOf('m') };
  });
  const body = readBody(Buffer.from('{"model": "m", "messages": []}'));
  if ('problem' in body) throw new Error(body.problem);
  return {
    seen,
    log,
    send: (more = {}) =>
      send(context.upstream, {
        document: keyDocument(),
        candidates,
        dialect: openaiChat,
        facts: { model: 'm', stream: false, unjudged: [], wantsUsage: true, demand: demand(1) },
        body,
        limits: {},
        headers: ['content-type', 'application/json'],
        query: '',
        onFlight: () => void log.push('flight'),
        onDispatch: () => void log.push('dispatch'),
        onFree: () => void log.push('free'),
        onResend: () => false,
        ...more,
      }),
  };
}

function answers({ answer, candidate, attempts }: Sent): unknown {
  const kind = answer.kind === 'refusal' ? answer.refusal.code : answer.kind === 'answer' ? answer.status : answer.kind;
  return [kind, candidate.pool.pool, attempts.map(({ credential, outcome }) => `${credential} ${outcome}`)];
}

test('the first candidate that answers serves; the open record precedes everything that leaves', async (t) => {
  const bed = await createBed(t, (_, response) => json(response, 200, {}));
  assert.deepEqual(answers(await bed.send()), [200, openai, ['a answered']]);
  assert.deepEqual(bed.log, ['dispatch', 'flight', 'seen a']);
});

test('where every credential of a candidate is limited or refused the next one is called, and all attempts are reported', async (t) => {
  const bed = await createBed(t, (key, response) => {
    if (key === 'a') limited(response, '7');
    else if (key === 'b') json(response, 401, { error: { code: 'invalid_api_key' } });
    else json(response, 200, {});
  });
  assert.deepEqual(answers(await bed.send()), [200, second, ['a refused', 'b refused', 'c answered']]);
  const refused = ['seen a', 'free', 'dispatch', 'seen b', 'free'];
  assert.deepEqual(bed.log, ['dispatch', 'flight', ...refused, 'dispatch', 'flight', 'seen c']);
});

test('an attempt of unknown cost is not reported as free', async (t) => {
  const bed = await createBed(t, (_, response) => json(response, 500, {}));
  await bed.send();
  assert.deepEqual(bed.log, ['dispatch', 'flight', 'seen a']);
});

test('credentials that the provider refuses do not end the call while another pool may serve', async (t) => {
  const bed = await createBed(t, (key, response) => json(response, key === 'c' ? 200 : 401, {}));
  assert.deepEqual(answers(await bed.send()), [200, second, ['a refused', 'b refused', 'c answered']]);
});

test('what may have been billed, or is the caller’s own mistake, is not tried elsewhere', async (t) => {
  for (const status of [400, 500]) {
    const bed = await createBed(t, (_, response) => json(response, status, { error: { message: 'no' } }));
    await bed.send();
    assert.deepEqual(
      bed.seen.map(({ key }) => key),
      ['a'],
    );
  }
});

test('where no candidate is left, the last refusal is the answer', async (t) => {
  const bed = await createBed(t, (_, response) => limited(response, '7'));
  assert.deepEqual(answers(await bed.send()), ['provider_limited', second, ['a refused', 'b refused', 'c refused']]);
});

test('a body goes out byte for byte, less what must change: model, limit, usage', async (t) => {
  const bed = await createBed(t, (key, response) => (key === 'c' ? json(response, 200, {}) : limited(response, '7')), mistral);
  await bed.send();
  assert.deepEqual(bed.seen[0]?.body, { model: 'm', messages: [] });
  assert.equal(bed.seen.at(-1)?.body['model'], 'm-2');
  await bed.send({ limits: { outputTokens: 64 } });
  assert.equal(bed.seen.at(-1)?.body['max_tokens'], 64);
  const stream = { model: 'm', stream: true, unjudged: [], wantsUsage: false, demand: demand(1) };
  await bed.send({ facts: stream, query: '?x=1' });
  // Mistral sends usage unasked, and may refuse to be asked.
  assert.equal(bed.seen.at(-1)?.body['stream_options'], undefined);
  assert.equal(bed.seen.at(-1)?.path, '/v1/chat/completions?x=1');
  const other = await createBed(t, (_key, response) => json(response, 200, {}));
  await other.send({ facts: stream });
  assert.deepEqual(other.seen.at(-1)?.body['stream_options'], { include_usage: true });
});

test('if the open record cannot be written, nothing is sent', async (t) => {
  const bed = await createBed(t, (_, response) => json(response, 200, {}));
  const onDispatch = (): never => {
    throw new SpoolUnavailable('full');
  };
  await assert.rejects(bed.send({ onDispatch }), SpoolUnavailable);
  assert.deepEqual(bed.seen, []);
});

test('a flight that is stopped ends the call: no further candidate is called', async (t) => {
  const flights: Flight[] = [];
  const bed = await createBed(t, () => flights[0]?.stop());
  assert.deepEqual(answers(await bed.send({ onFlight: (flight) => void flights.push(flight) })), ['stopped', openai, ['a unknown']]);
  assert.equal(flights.length, 1);
});
