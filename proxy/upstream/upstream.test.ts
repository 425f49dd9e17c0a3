import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { keyName, poolName } from '../../core/names.ts';
import { canary, drain, expectKind, json, limited, lineMeters, serve, testbed } from './testbed.ts';

/** Asks until there is an answer. */
async function until<T>(ask: () => T | undefined | false): Promise<T> {
  for (;;) {
    const found = ask();
    if (found !== undefined && found !== false) return found;
    await pause(5);
  }
}

const invalidKey = { error: { message: 'Incorrect API key provided', type: 'invalid_request_error', code: 'invalid_api_key' } };

test('a JSON answer comes whole, with the credential added and the client headers kept', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => json(response, 200, { ok: true }, { 'x-request-id': 'r1', 'set-cookie': 'a=b', 'openai-organization': 'org' }),
    {
      endpoint: '/proxy/v1',
    },
  );
  const answer = await expectKind(
    bed.call({ headers: ['content-type', 'application/json', 'x-stainless-lang', 'js'], query: '?beta=true' }),
    'answer',
  );
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, { kind: 'whole', bytes: Buffer.from('{"ok":true}') });
  assert.deepEqual(answer.headers, ['content-type', 'application/json', 'x-request-id', 'r1']);
  assert.deepEqual(answer.attempts, [{ pool: 'platform/openai', credential: 'a', status: 200, outcome: 'answered' }]);
  assert.equal(bed.requests[0]?.url, '/proxy/v1/chat/completions?beta=true');
  assert.equal(bed.requests[0]?.headers['x-stainless-lang'], 'js');
  assert.equal(bed.requests[0]?.headers.authorization, `Bearer ${canary}-a`);
});

test('a 429 moves the call to a credential of another quota scope, never to one of the same', async (t) => {
  const bed = await testbed(t, (key, response) => (key === 'c' ? json(response, 200, {}) : limited(response, '20')), {
    keys: { a: 'org-1', b: 'org-1', c: 'org-2' },
  });
  for (let i = 0; i < 4; i += 1) assert.equal((await expectKind(bed.call(), 'answer')).status, 200);
  assert.ok(bed.seen.filter((key) => key !== 'c').length <= 1);
  assert.equal(bed.seen.filter((key) => key === 'c').length, 4);
});

test('nine dead credentials of ten still give an answer', async (t) => {
  const keys = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, `scope-${i}`]));
  const bed = await testbed(
    t,
    (key, response) =>
      key === 'k7' ? json(response, 200, {}) : Number(key.slice(1)) % 2 === 0 ? limited(response, '30') : json(response, 401, invalidKey),
    { keys },
  );
  const started: string[] = [];
  const answer = await expectKind(bed.call({ onAttempt: (credential) => started.push(credential) }), 'answer');
  assert.equal(answer.status, 200);
  assert.equal(answer.attempts.at(-1)?.outcome, 'answered');
  assert.ok(answer.attempts.slice(0, -1).every(({ outcome }) => outcome === 'refused'));
  assert.deepEqual(started, bed.seen);
  assert.equal(new Set(bed.seen).size, bed.seen.length);
});

test('a second credential of the same scope is used where the first was refused', async (t) => {
  const bed = await testbed(t, (key, response) => (key === 'a' ? json(response, 401, invalidKey) : json(response, 200, {})), {
    keys: { a: 'org', b: 'org' },
  });
  await expectKind(bed.call({ affinity: 's' }), 'answer');
  assert.equal(bed.seen.at(-1), 'b');
});

test('when every credential is limited, the refusal has the earliest deadline and the provider body', async (t) => {
  const bed = await testbed(t, (key, response) => limited(response, key === 'a' ? '40' : '25'), { keys: { a: 'org-1', b: 'org-2' } });
  const first = await expectKind(bed.call(), 'refusal');
  assert.equal(first.refusal.code, 'provider_limited');
  assert.equal(first.refusal.retryAfterSeconds, 25);
  assert.equal(first.refusal.retryable, true);
  assert.match(first.refusal.providerBody ?? '', /rate_limit_exceeded/);

  bed.clock.nowMs += 10_000;
  const second = await expectKind(bed.call(), 'refusal');
  assert.equal(second.refusal.retryAfterSeconds, 15);
  assert.match(second.refusal.providerBody ?? '', /rate_limit_exceeded/);
  assert.equal(bed.seen.length, 2, 'a limited credential gets no traffic');

  bed.clock.nowMs += 16_000;
  await expectKind(bed.call(), 'refusal');
  assert.equal(bed.seen.at(-1), 'b');
});

test('the later of two deadlines wins, and a long wait is not called retryable', async (t) => {
  const bed = await testbed(t, (_key, response) =>
    json(
      response,
      429,
      { error: { code: 'rate_limit_exceeded' } },
      { 'retry-after': '3', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' },
    ),
  );
  const { refusal } = await expectKind(bed.call(), 'refusal');
  assert.equal(refusal.retryAfterSeconds, 360);
  assert.equal(refusal.retryable, false);
});

const missingScope = {
  error: { message: 'You have insufficient permissions. Missing scopes: api.responses.write', type: 'invalid_request_error' },
};

test('a rejection that the provider does not repeat for a request of ours is the caller’s own, and nobody else suffers from it', async (t) => {
  const bed = await testbed(t, (_key, response, request) =>
    request.method === 'GET' ? json(response, 200, { data: [] }) : json(response, 401, invalidKey),
  );
  for (let n = 0; n < 3; n += 1) {
    const { refusal } = await expectKind(bed.call(), 'refusal');
    assert.deepEqual([refusal.code, /Incorrect API key provided/.test(refusal.message)], ['provider_unauthorized', true]);
  }
  assert.deepEqual(bed.probes, ['a'], 'one request of ours answers for all of them');
  assert.equal(bed.pools.state()[0]?.status, 'ready');
});

test('a credential that the provider rejects for a request of ours too is put aside', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 401, invalidKey));
  assert.equal((await expectKind(bed.call(), 'refusal')).refusal.code, 'provider_unauthorized');
  assert.deepEqual([bed.probes, bed.pools.state()[0]?.status], [['a'], 'unauthorized']);
});

test('a second opinion that fails puts nothing aside: the caller gets its own error, others are served, and few are asked for', async (t) => {
  const failures: Readonly<Record<string, (response: ServerResponse) => void>> = {
    'an outage': (response) => json(response, 500, { error: { message: 'down', type: 'server_error' } }),
    'a page': (response) => response.writeHead(502).end('<html>'),
    'a limit': (response) => limited(response, '60'),
    'a redirect': (response) => response.writeHead(302, { location: '/' }).end(),
    'a cut': (response) => response.socket?.destroy(),
    silence: () => {},
  };
  for (const [name, fail] of Object.entries(failures)) {
    const bed = await testbed(
      t,
      (_key, response, request) => {
        if (request.method === 'GET') fail(response);
        else if (request.headers['x-good'] === '1') json(response, 200, {});
        else json(response, 401, invalidKey);
      },
      { settings: { opinionMs: 100 } },
    );
    const rejected = [bed.call(), bed.call(), bed.call()];
    const served = await expectKind(bed.call({ headers: ['x-good', '1'] }), 'answer');
    assert.equal(served.status, 200, name);
    for (const flight of rejected) {
      const { refusal } = await expectKind(flight, 'refusal');
      assert.match(refusal.message, /rejects this request .* Incorrect API key provided/, name);
    }
    assert.deepEqual([bed.probes.length, bed.pools.state()[0]?.status], [1, 'ready'], name);
    bed.clock.nowMs += 9_000;
    await expectKind(bed.call(), 'refusal');
    assert.equal(bed.probes.length, 1, `${name}: it still holds`);
    bed.clock.nowMs += 1_000;
    await expectKind(bed.call(), 'refusal');
    assert.deepEqual([bed.probes.length, bed.pools.state()[0]?.status], [2, 'ready'], name);
  }
});

test('after a second opinion that failed, the next one puts a credential aside that is gone', async (t) => {
  const bed = await testbed(
    t,
    (key, response, request) => {
      if (key === 'b') json(response, 200, {});
      else if (request.method === 'GET' && bed.probes.length === 1) json(response, 503, {});
      else json(response, 401, invalidKey);
    },
    { keys: { a: 'org-1', b: 'org-2' } },
  );
  const rejections = async (): Promise<number> => {
    const answers = await Promise.all([bed.call(), bed.call()].map(({ answer }) => answer));
    return answers.filter(({ kind }) => kind === 'refusal').length;
  };
  assert.equal(await rejections(), 1);
  bed.clock.nowMs += 10_000;
  assert.equal(await rejections(), 0);
  assert.deepEqual(bed.probes, ['a', 'a']);
  assert.deepEqual(
    bed.pools.state().map(({ status }) => status),
    ['unauthorized', 'ready'],
  );
});

test('missing scopes and a lack of flex capacity pass through, without a cooldown', async (t) => {
  const errors: readonly (readonly [number, object])[] = [
    [403, missingScope],
    [429, { error: { code: 'resource_unavailable', message: 'No capacity.', type: 'rate_limit_error' } }],
  ];
  for (const [status, body] of errors) {
    const bed = await testbed(t, (_key, response) => json(response, status, body), { keys: { a: 'org-1', b: 'org-2' } });
    assert.equal((await expectKind(bed.call(), 'answer')).status, status);
    assert.deepEqual([bed.seen.length, bed.probes], [1, []]);
    assert.ok(bed.pools.state().every((credential) => credential.status === 'ready'));
  }
  const bed = await testbed(t, (_key, response) => json(response, 401, missingScope));
  const { refusal } = await expectKind(bed.call(), 'refusal');
  assert.match(refusal.message, /Missing scopes: api.responses.write/);
  assert.deepEqual([refusal.code, bed.probes, bed.pools.state()[0]?.status], ['provider_unauthorized', [], 'ready']);
});

test('a call that can never fit a scope’s limit is tried once at each scope, passes through, and limits nobody', async (t) => {
  const tooLarge = (limit: number, requested: number): object => ({
    error: {
      message: `Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit ${limit}, Requested ${requested}. Shorten it.`,
      ...{ type: 'tokens', param: null, code: 'rate_limit_exceeded' },
    },
  });
  const keys = { a: 'org-1', b: 'org-2', c: 'org-3' };
  const bed = await testbed(t, (_key, response) => json(response, 429, tooLarge(30_000, 61_337)), { keys });
  const answer = await expectKind(bed.call(), 'answer');
  assert.equal(answer.status, 429);
  assert.deepEqual(bed.seen.toSorted(), ['a', 'b', 'c']);
  assert.ok(bed.pools.state().every(({ status }) => status === 'ready'));
  // Nor do many such calls take all retries from the pool's other calls.
  for (let n = 0; n < 30; n += 1) assert.equal((await expectKind(bed.call(), 'answer')).status, 429);
  assert.equal(bed.seen.length, 31 + 15);
  assert.ok(bed.pools.takeRetry(poolName('platform', 'openai')));
  // A balance that pays for smaller calls is no different.
  const afford = 'This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 41000.';
  const refused = { error: { code: 402, message: afford } };
  const poor = await testbed(t, (key, response) => (key === 'c' ? json(response, 200, {}) : json(response, 402, refused)), { keys });
  for (let n = 0; n < 4; n += 1) assert.equal((await expectKind(poor.call(), 'answer')).status, 200);
  assert.ok(poor.pools.state().every(({ status }) => status === 'ready'));
  // Below the limit, the words tell of a limit that passes.
  const passing = await testbed(t, (_key, response) => json(response, 429, tooLarge(250_000, 546)), { keys });
  assert.equal((await expectKind(passing.call(), 'refusal')).refusal.code, 'provider_limited');
});

test('in a storm of 429 a pool makes few attempts more than it has calls, and each call gets the answer of its provider', async (t) => {
  const keys = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, `scope-${i}`]));
  const body = { error: { message: 'Rate limit reached', code: 'rate_limit_exceeded' } };
  const bed = await testbed(t, (_key, response) => json(response, 429, body, { 'retry-after-ms': '1' }), { keys });
  for (let i = 0; i < 10; i += 1) {
    const answer = await expectKind(bed.call(), 'answer');
    assert.deepEqual([answer.status, answer.isLimit], [429, true]);
    assert.deepEqual(answer.body, { kind: 'whole', bytes: Buffer.from(JSON.stringify(body)) });
    assert.ok(answer.headers.includes('retry-after-ms'));
    bed.clock.nowMs += 2;
  }
  assert.equal(bed.seen.length, 10 + 30);
  assert.deepEqual(bed.pools.deniedRetries(), [{ pool: 'platform/openai', count: 10 }]);
  bed.clock.nowMs += 10_000;
  await expectKind(bed.call(), 'answer');
  assert.equal(bed.seen.length, 10 + 30 + 31);
});

/** Leaves the pool of a testbed without retries. */
function spendRetries({ pools }: Awaited<ReturnType<typeof testbed>>): void {
  while (pools.takeRetry(poolName('platform', 'openai')));
}

test('a pool without another credential denies no retry: the refusal says when to come back', async (t) => {
  const bed = await testbed(t, (_key, response) => limited(response, '20'), { keys: { a: 'org', b: 'org' } });
  spendRetries(bed);
  const { refusal } = await expectKind(bed.call(), 'refusal');
  assert.deepEqual([refusal.code, refusal.retryAfterSeconds], ['provider_limited', 20]);
  assert.deepEqual(bed.pools.deniedRetries(), [{ pool: 'platform/openai', count: 1 }]);
});

test('without a retry left, an error within a stream goes on to the client whole', async (t) => {
  const event = 'error {"error":{"code":"rate_limit_exceeded"}}';
  const bed = await testbed(
    t,
    (_key, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`${event}\n`);
      setTimeout(() => response.end('rest\n'), 20);
    },
    { keys: { a: 'org-1', b: 'org-2' } },
  );
  spendRetries(bed);
  const answer = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.equal(answer.isLimit, true);
  if (answer.body.kind !== 'flowing') throw new Error('it was held');
  assert.deepEqual(await drain(answer.body), { text: `${event}\nrest\nflushed\n`, end: 'complete' });
  assert.equal(bed.seen.length, 1);
});

test('a request that was lost is not sent again without a retry left', async (t) => {
  const bed = await testbed(t, (_key, response, request) => {
    if (bed.seen.length === 1) json(response, 200, {});
    else request.socket.destroy();
  });
  await expectKind(bed.call(), 'answer');
  spendRetries(bed);
  const onResend = (): boolean => assert.fail('it was sent again');
  assert.equal((await expectKind(bed.call({ onResend }), 'refusal')).refusal.code, 'provider_error');
  assert.equal(bed.seen.length, 2);
});

test('the limit of counting puts no generating call aside', async (t) => {
  const bed = await testbed(t, (_key, response, request) =>
    request.headers['x-count'] === undefined ? json(response, 200, {}) : limited(response, '30'),
  );
  const count = { isLimitedApart: true, headers: ['x-count', '1'] };
  assert.equal((await expectKind(bed.call(count), 'refusal')).refusal.code, 'provider_limited');
  assert.equal((await expectKind(bed.call(), 'answer')).status, 200);
  assert.equal((await expectKind(bed.call(count), 'refusal')).refusal.code, 'provider_limited');
  assert.equal(bed.seen.length, 2);
});

test('a limit is confined to its model', async (t) => {
  const bed = await testbed(t, (_key, response) => limited(response, '30'));
  await expectKind(bed.call(), 'refusal');
  await expectKind(bed.call({ model: 'other' }), 'refusal');
  assert.equal(bed.seen.length, 2);
});

test('out of money has no Retry-After and is not retryable', async (t) => {
  const bed = await testbed(t, (_key, response) =>
    json(response, 429, { error: { type: 'insufficient_quota', code: 'credit_balance_exhausted' } }),
  );
  const { refusal } = await expectKind(bed.call(), 'refusal');
  assert.equal(refusal.code, 'provider_limited');
  assert.equal(refusal.retryAfterSeconds, undefined);
  assert.equal(refusal.retryable, false);
});

test('refused credentials become provider_unauthorized, never a 401 for the caller', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => json(response, 401, { error: { ...invalidKey.error, message: `Incorrect: ${canary}-a` } }),
    { keys: { a: 'x', b: 'y' } },
  );
  const answer = await expectKind(bed.call(), 'refusal');
  assert.equal(answer.refusal.code, 'provider_unauthorized');
  assert.equal(answer.attempts.length, 2);
  assert.ok(!JSON.stringify([answer, bed.pools.state()]).includes(canary));
});

test('trouble of the vendor passes through and is not rotated', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => json(response, 503, { error: { code: 'server_is_overloaded' } }, { 'retry-after': '2' }),
    { keys: { a: 'x', b: 'y' } },
  );
  const answer = await expectKind(bed.call(), 'answer');
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.includes('retry-after'));
  assert.deepEqual(
    answer.attempts.map(({ outcome }) => outcome),
    ['refused'],
  );
});

for (const [status, body, outcome] of [
  [400, '{"error":{"message":"bad"}}', 'refused'],
  [413, '<html>', 'refused'],
  [500, '{"error":{"message":"oops"}}', 'refused'],
  [500, '', 'unknown'],
  [502, '<html><h1>502 Bad Gateway</h1></html>', 'unknown'],
  [504, '{"error":{"type":"timeout_error"}}', 'unknown'],
] as const) {
  test(`a ${status} with ${JSON.stringify(body)} passes through as ${outcome}`, async (t) => {
    const bed = await testbed(t, (_key, response) => response.writeHead(status).end(body));
    const answer = await expectKind(bed.call(), 'answer');
    assert.equal(answer.status, status);
    assert.equal(answer.body.kind === 'whole' && answer.body.bytes.toString(), body);
    assert.equal(answer.attempts[0]?.outcome, outcome);
  });
}

test('an error that repeats our credential loses it, in body and headers', async (t) => {
  const bed = await testbed(t, (_key, response, request) =>
    json(response, 400, { echo: request.headers }, { 'x-echo': String(request.headers.authorization) }),
  );
  const answer = await expectKind(bed.call(), 'answer');
  assert.ok(answer.body.kind === 'whole' && answer.body.bytes.includes('[redacted]'));
  assert.ok(!(answer.body.kind === 'whole' && answer.body.bytes.includes(canary)));
  assert.ok(!JSON.stringify(answer.headers).includes(canary));
});

test('a redirect is an error, and nobody follows it', async (t) => {
  let elsewhere = 0;
  const other = await serve(t, (_request, response) => {
    elsewhere += 1;
    response.end();
  });
  for (const status of [301, 302, 307, 308]) {
    const bed = await testbed(t, (_key, response) => response.writeHead(status, { location: `${other}/steal` }).end());
    const { refusal, attempts } = await expectKind(bed.call(), 'refusal');
    assert.equal(refusal.code, 'provider_error');
    assert.equal(refusal.retryable, false);
    assert.equal(attempts[0]?.outcome, 'refused');
  }
  assert.equal(elsewhere, 0);
});

test('what could not be sent costs nothing', async (t) => {
  for (const endpoint of ['http://127.0.0.1:1', 'http://no-such-host.invalid', 'https://127.0.0.1:1']) {
    const bed = await testbed(t, () => {}, { endpoint });
    const { refusal, attempts } = await expectKind(bed.call(), 'refusal');
    assert.equal(refusal.code, 'provider_error');
    assert.deepEqual(
      attempts.map(({ outcome }) => outcome),
      ['not_sent'],
    );
    assert.ok(!refusal.message.includes(canary));
  }
});

test('a TLS handshake that fails costs nothing', async (t) => {
  const plain = await serve(t, (_request, response) => response.end());
  const bed = await testbed(t, () => {}, { endpoint: plain.replace('http:', 'https:') });
  assert.equal((await expectKind(bed.call(), 'refusal')).attempts[0]?.outcome, 'not_sent');
});

test('a connection that breaks after the request is unknown, and nothing is tried again', async (t) => {
  const bed = await testbed(t, (_key, _response, request) => request.socket.destroy(), { keys: { a: 'x', b: 'y' } });
  const { refusal, attempts } = await expectKind(bed.call(), 'refusal');
  assert.equal(refusal.code, 'provider_error');
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['unknown'],
  );
});

test('a JSON answer that breaks off is unknown, and none of it is shown', async (t) => {
  const bed = await testbed(t, (_key, response, request) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{"choices":', () => request.socket.destroy());
  });
  const { refusal, attempts } = await expectKind(bed.call(), 'refusal');
  assert.equal(refusal.code, 'provider_error');
  assert.deepEqual(attempts, [{ pool: 'platform/openai', credential: 'a', status: 200, outcome: 'unknown' }]);
});

test('a silent provider is provider_timeout', async (t) => {
  const silent = await testbed(t, () => {}, { timeouts: { firstByteMs: 60 } });
  const { refusal, attempts } = await expectKind(silent.call(), 'refusal');
  assert.equal(refusal.code, 'provider_timeout');
  assert.equal(attempts[0]?.outcome, 'unknown');
});

test('an answer whose bytes flow is not cut, however long it takes', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      let left = 20;
      const timer = setInterval(() => {
        response.write(' ');
        left -= 1;
        if (left > 0) return;
        clearInterval(timer);
        response.end('{}');
      }, 10);
    },
    // The answer begins within the first, and takes longer than both.
    { timeouts: { firstByteMs: 100, idleMs: 100 } },
  );
  const { body } = await expectKind(bed.call(), 'answer');
  assert.ok(body.kind === 'whole');
  assert.equal(body.bytes.toString().trim(), '{}');
});

test('a call that finds no free connection for its whole wait is told to retry: nothing was sent, and it costs nothing', async (t) => {
  const bed = await testbed(t, (_key, response) => response.writeHead(200).write(' '), {
    ...{ maxConnections: 1, settings: { slotWaitMs: 100 } },
  });
  const busy = bed.call();
  const dispatched: string[] = [];
  const waiting = bed.call({ onAttempt: () => void dispatched.push('sent') });
  const { refusal, attempts } = await expectKind(waiting, 'refusal');
  assert.deepEqual([refusal.code, attempts, dispatched], ['overloaded', [], []]);
  const left = bed.call();
  left.stop();
  assert.equal((await left.answer).kind, 'stopped');
  busy.stop();
  await busy.answer;
  assert.equal(bed.seen.length, 1);
});

test('a key that floods a provider leaves connections to others, and gets its own back as its calls end', async (t) => {
  const held: ServerResponse[] = [];
  const bed = await testbed(
    t,
    (_key, response, request) => {
      if (request.headers['x-slow'] !== undefined) held.push(response);
      else json(response, 200, { ok: 1 });
    },
    { maxConnections: 9 },
  );
  const slow = { headers: ['x-slow', '1'], sharers: [keyName('agents', 'flood')] } as const;
  const flood = Array.from({ length: 30 }, () => bed.call(slow));
  await until(() => held.length === 6);
  for (let n = 0; n < 5; n += 1) assert.equal((await expectKind(bed.call(), 'answer')).status, 200);
  assert.equal(held.length, 6);
  const answered = Promise.all(flood.map((flight) => expectKind(flight, 'answer')));
  for (let n = 0; n < 30; n += 1) {
    const response = await until(() => held[n]);
    json(response, 200, { ok: 1 });
  }
  assert.equal((await answered).length, 30);
});

test('headers without end are refused', async (t) => {
  const bed = await testbed(t, (_key, response) => response.writeHead(200, { 'x-long': 'x'.repeat(5000) }).end(), {
    settings: { headerBytes: 4096 },
  });
  assert.equal((await expectKind(bed.call(), 'refusal')).refusal.code, 'provider_error');
});

test('stop before the answer ends the connection to the provider', async (t) => {
  const closed = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const bed = await testbed(t, (_key, response) => {
    arrived.resolve();
    response.on('close', closed.resolve);
  });
  const flight = bed.call();
  await arrived.promise;
  flight.stop();
  assert.deepEqual(
    (await expectKind(flight, 'stopped')).attempts.map(({ outcome }) => outcome),
    ['unknown'],
  );
  await closed.promise;
});

test('stop at once sends nothing', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 200, {}));
  const flight = bed.call();
  flight.stop();
  assert.equal((await expectKind(flight, 'stopped')).attempts[0]?.outcome, 'not_sent');
  await expectKind(bed.call(), 'answer');
  assert.equal(bed.seen.length, 1);
});

test('an encoded answer is decoded, a broken one passes unchanged', async (t) => {
  const bed = await testbed(t, (_key, response) =>
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync('{"ok":1}')),
  );
  const answer = await expectKind(bed.call(), 'answer');
  assert.equal(answer.body.kind === 'whole' && answer.body.bytes.toString(), '{"ok":1}');
  assert.ok(!answer.headers.includes('content-encoding'));

  const broken = await testbed(t, (_key, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip'));
  assert.ok((await expectKind(broken.call(), 'answer')).headers.includes('content-encoding'));
});

const large = { choices: [{ message: { content: 'x'.repeat(300_000) } }], usage: { prompt_tokens: 3, completion_tokens: 7 } };

test('an answer too large to hold flows, and its usage is read as it passes', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 200, large), { settings: { wholeBytes: 100_000 } });
  const { body, meter } = await expectKind(bed.call(), 'answer');
  assert.ok(body.kind === 'flowing' && meter !== null);
  assert.deepEqual(await drain(body), { text: JSON.stringify(large), end: 'complete' });
  assert.deepEqual([meter.complete, meter.reading().usage?.input, meter.reading().usage?.output], [true, 3, 7]);
});

test('an answer too large to hold that breaks off is not complete', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write(JSON.stringify(large).slice(0, 299_000));
      setTimeout(() => response.destroy(), 20);
    },
    { settings: { wholeBytes: 100_000 } },
  );
  const { body, meter } = await expectKind(bed.call(), 'answer');
  assert.ok(body.kind === 'flowing' && meter !== null);
  assert.equal((await drain(body)).end, 'cut');
  assert.equal(meter.complete, false);
});

test('an encoded answer too large to hold flows without a meter', async (t) => {
  const bed = await testbed(t, (_key, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.alloc(300_000)), {
    settings: { wholeBytes: 100_000 },
  });
  const { body, meter } = await expectKind(bed.call(), 'answer');
  assert.deepEqual([body.kind, meter], ['flowing', null]);
});

test('a pool without credentials is provider_unauthorized, and nothing is sent', async (t) => {
  const bed = await testbed(t, () => {}, { keys: {} });
  assert.equal((await expectKind(bed.call(), 'refusal')).refusal.code, 'provider_unauthorized');
});

test('what onAttempt throws ends the call before anything is sent', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 200, {}));
  const flight = bed.call({
    onAttempt: () => {
      throw new Error('spool is full');
    },
  });
  await assert.rejects(flight.answer, /spool is full/);
  assert.equal(bed.seen.length, 0);
});

test('an error that comes as 200 moves the call on like any other', async (t) => {
  const bed = await testbed(
    t,
    (key, response) => json(response, 200, key === 'b' ? { id: 'x' } : { error: { code: 429, message: 'Rate limited upstream' } }),
    {
      keys: { a: 'x', b: 'y', c: 'z' },
    },
  );
  const answer = await expectKind(bed.call(), 'answer');
  assert.equal(answer.attempts.at(-1)?.credential, 'b');
  assert.equal(answer.attempts.at(-1)?.outcome, 'answered');
});

const used = { prompt_tokens: 3, completion_tokens: 7 };

for (const [what, status, body, outcome] of [
  ['usage', 429, { error: { code: 'rate_limit_exceeded' }, usage: used }, 'answered'],
  ['usage in place of an answer', 200, { error: { code: 429 }, usage: used }, 'answered'],
  ['usage that nobody can read', 429, { error: { code: 'rate_limit_exceeded', usage: { n: 1 } } }, 'unknown'],
  ['generated text', 400, { error: { code: 'tool_use_failed', failed_generation: 'x' } }, 'unknown'],
  ['generated text in place of an answer', 200, { error: { code: 429 }, choices: [{ text: 'x' }] }, 'unknown'],
] as const) {
  test(`an error that carries ${what} is ${outcome}, and is not tried elsewhere`, async (t) => {
    const bed = await testbed(t, (_key, response) => json(response, status, body), { keys: { a: 'x', b: 'y' } });
    const answer = await expectKind(bed.call(), 'answer');
    assert.deepEqual(
      answer.attempts.map((attempt) => [attempt.status, attempt.outcome]),
      [[status, outcome]],
    );
  });
}

test('an attempt that was free names the class of its error', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 400, { error: { message: 'bad' } }));
  assert.equal((await expectKind(bed.call(), 'answer')).attempts[0]?.code, 'http_400');
});

test('an error too large to hold costs the bound, because nobody knows what it shows', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 400, 'x'.repeat(300_000)), { settings: { wholeBytes: 100_000 } });
  assert.equal((await expectKind(bed.call(), 'answer')).attempts[0]?.outcome, 'unknown');
});
