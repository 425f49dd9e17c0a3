import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { StreamMeter } from '../dialect/types.ts';
import { canary, drain, expectKind, json, lineMeter, lineMeters, testbed } from './testbed.ts';

const limit = JSON.stringify({ error: { code: 'rate_limit_exceeded', message: canary } });

function events(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

test('a stream passes through its meter, held until its first content', async (t) => {
  const bed = await testbed(t, (_key, response) => {
    events(response).write('ping\n');
    setTimeout(() => response.write('hello\n'), 20);
    setTimeout(() => response.end('world\n'), 40);
  });
  const { body, meter, attempts } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.equal(meter?.phase, 'content');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: 'ping\nhello\nworld\nflushed\n', end: 'complete' });
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['answered'],
  );
});

test('after an error before content, the next credential is used, and the client sees none of the error', async (t) => {
  const bed = await testbed(t, (key, response) => events(response).end(key === 'b' ? 'hello\n' : `ping\nerror ${limit}\n`), {
    keys: { a: 'x', b: 'y', c: 'z' },
  });
  const { body, attempts } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: 'hello\nflushed\n', end: 'complete' });
  assert.ok(attempts.slice(0, -1).every(({ outcome, status }) => outcome === 'refused' && status === 200));
  assert.equal(attempts.at(-1)?.credential, 'b');
});

test('with nothing left, an error in a stream becomes a refusal with its body, less our credential', async (t) => {
  const bed = await testbed(t, (key, response) => events(response).end(`error ${limit.replace(canary, `${canary}-${key}`)}\n`));
  const { refusal, attempts } = await expectKind(bed.call({ meters: lineMeters }), 'refusal');
  assert.equal(refusal.code, 'provider_limited');
  assert.match(refusal.providerBody ?? '', /rate_limit_exceeded/);
  assert.ok(!JSON.stringify(refusal).includes(canary));
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['refused'],
  );
});

test('an error before content that no other credential can solve passes unchanged', async (t) => {
  const bed = await testbed(t, (_key, response) => events(response).end('error {"error":{"code":"invalid_prompt"}}\n'), {
    keys: { a: 'x', b: 'y' },
  });
  const { body, meter, attempts } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.equal(meter?.phase, 'error');
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['refused'],
  );
  assert.ok(body.kind === 'flowing');
  assert.match((await drain(body)).text, /invalid_prompt/);
});

test('a stream that says only pings flows after a while, so that the client gets them', async (t) => {
  const bed = await testbed(
    t,
    (_key, response) => {
      events(response).write('ping\n');
      setTimeout(() => response.end('late\n'), 500);
    },
    { settings: { preambleMs: 30 } },
  );
  const { body, meter } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.equal(meter?.phase, 'preamble');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: 'ping\nlate\nflushed\n', end: 'complete' });
});

test('a stream that breaks after content ends as cut', async (t) => {
  const bed = await testbed(t, (_key, response, request) => {
    events(response).write('hello\n');
    setTimeout(() => request.socket.destroy(), 20);
  });
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: 'hello\n', end: 'cut' });
});

test('a stream that breaks before content is unknown and is not tried again', async (t) => {
  const bed = await testbed(
    t,
    (_key, response, request) => {
      events(response).write('ping\n', () => request.socket.destroy());
    },
    { keys: { a: 'x', b: 'y' } },
  );
  const { refusal, attempts } = await expectKind(bed.call({ meters: lineMeters }), 'refusal');
  assert.equal(refusal.code, 'provider_error');
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['unknown'],
  );
});

test('a stream that falls silent ends as timeout', async (t) => {
  const bed = await testbed(t, (_key, response) => events(response).write('hello\n'), { timeouts: { idleMs: 60 } });
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: 'hello\n', end: 'timeout' });
});

test('stop ends a stream and its connection', async (t) => {
  const closed = Promise.withResolvers<void>();
  const bed = await testbed(t, (_key, response) => {
    events(response).write('hello\n');
    response.on('close', closed.resolve);
  });
  const flight = bed.call({ meters: lineMeters });
  const { body } = await expectKind(flight, 'answer');
  assert.ok(body.kind === 'flowing');
  const ended = drain(body);
  flight.stop();
  assert.equal((await ended).end, 'stopped');
  await closed.promise;
});

test('a client that does not read makes the provider wait until resume', async (t) => {
  let written = 0;
  const bed = await testbed(t, (_key, response) => {
    events(response);
    const fill = (): void => {
      while (written < 32 * 1024 * 1024) {
        written += 65536;
        if (!response.write(Buffer.alloc(65536, 'x'))) {
          response.once('drain', fill);
          return;
        }
      }
      response.end();
    };
    fill();
  });
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  let received = 0;
  let slow = true;
  const end = body.pipe((chunk) => {
    received += chunk.length;
    return !slow;
  });
  await sleep(150);
  assert.ok(received < 1024 * 1024, `${received} bytes came through a sink that takes none`);
  assert.ok(written < 20 * 1024 * 1024, `${written} bytes were taken from the provider`);
  slow = false;
  body.resume();
  assert.equal(await end, 'complete');
  assert.equal(received, 32 * 1024 * 1024 + 'flushed\n'.length);
});

test('of what was held of a large answer, a client gets no more at once than it takes, and all of it in the end', async (t) => {
  const text = JSON.stringify({ id: 'x', content: 'y'.repeat(10 * 1024 * 1024) });
  const bed = await testbed(t, (_key, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(text));
  const { body } = await expectKind(bed.call(), 'answer');
  assert.ok(body.kind === 'flowing');
  const chunks: Buffer[] = [];
  let hasEnded = false;
  const end = body.pipe((chunk) => chunks.push(chunk) < 0);
  void end.then(() => {
    hasEnded = true;
  });
  assert.ok(chunks.length <= 1, `${chunks.length} pieces at once`);
  for (let before = 0; !hasEnded; before = chunks.length) {
    assert.ok(chunks.length <= before + 1);
    body.resume();
    await sleep(0);
  }
  assert.equal(await end, 'complete');
  assert.equal(Buffer.concat(chunks).toString(), text);
});

test('an encoded stream is held and decoded, so that it is metered and repeats no credential', async (t) => {
  const bed = await testbed(t, (_key, response) =>
    response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(gzipSync(`hello ${canary}-a\n`)),
  );
  const { body, headers } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(!headers.includes('content-encoding'));
  assert.deepEqual(body, { kind: 'whole', bytes: Buffer.from('hello [redacted]\n') });
});

test('a rejection within a stream that is about this request alone passes whole', async (t) => {
  const text = 'error {"error":{"code":401,"message":"no permission"}}\n';
  const streams: ServerResponse[] = [];
  const bed = await testbed(t, (_key, response, request) => {
    if (request.method === 'POST') {
      streams.push(response);
      events(response).write(text);
      return;
    }
    json(response, 200, {});
    // Only then the rest, so that an abort meanwhile would show.
    setTimeout(() => streams[0]?.end('rest\n'), 50);
  });
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  const chunks: Buffer[] = [];
  assert.equal(await body.pipe((chunk) => chunks.push(chunk) > 0), 'complete');
  assert.equal(Buffer.concat(chunks).toString(), `${text}rest\nflushed\n`);
  assert.deepEqual([bed.probes, bed.pools.state()[0]?.status], [['a'], 'ready']);
});

test('a credential that a stream repeats is removed across its chunks, and the rest comes without delay', async (t) => {
  const bed = await testbed(t, async (_key, response) => {
    events(response).write(`hello\n${canary.slice(0, 5)}`);
    await sleep(5);
    response.write(`${canary.slice(5)}-`);
    await sleep(5);
    response.end('a bye\n');
  });
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  const chunks: Buffer[] = [];
  await body.pipe((chunk) => chunks.push(chunk) > 0);
  assert.equal(Buffer.concat(chunks).toString(), 'hello\n[redacted] bye\nflushed\n');
});

test('a meter or a sink that throws is our fault: the call rejects and the connection ends', async (t) => {
  const closed = Promise.withResolvers<void>();
  const bed = await testbed(t, (_key, response) => {
    response.on('close', closed.resolve);
    events(response).write('hello\n');
  });
  const bad = (): StreamMeter => ({
    ...lineMeter(),
    push: () => {
      throw new Error('broken meter');
    },
  });
  await assert.rejects(bed.call({ meters: { ...lineMeters, stream: bad } }).answer, /broken meter/);
  await closed.promise;
  const { body } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.ok(body.kind === 'flowing');
  await assert.rejects(
    body.pipe(() => {
      throw new Error('broken sink');
    }),
    /broken sink/,
  );
});

test('a stream that is one JSON array goes through its meter too', async (t) => {
  const bed = await testbed(t, (_key, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('[{"a":1}]'));
  const { body, meter } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.equal(meter?.phase, 'content');
  assert.ok(body.kind === 'flowing');
  assert.deepEqual(await drain(body), { text: '[{"a":1}]flushed\n', end: 'complete' });
  assert.equal((await expectKind(bed.call(), 'answer')).body.kind, 'whole');
});

const sse = 'data: {"choices":[]}\n\n';

for (const [contentType, first] of [
  ['Text/Event-Stream', sse],
  ['application/json', sse],
  ['text/plain', `event: x\n${sse}`],
  ['application/json', `: comment\n\n${sse}`],
  ['application/json', `\ufeff\n${sse}`],
] as const) {
  test(`${JSON.stringify(first)} as ${contentType} is a stream if the caller asked for one`, async (t) => {
    const bed = await testbed(t, (_key, response) => {
      response.writeHead(200, { 'content-type': contentType }).write(first.slice(0, 3));
      setTimeout(() => response.end(first.slice(3)), 20);
    });
    const { body, meter } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
    assert.ok(body.kind === 'flowing' && meter !== null);
    assert.equal((await drain(body)).text, `${first}flushed\n`);
    assert.equal((await expectKind(bed.call(), 'answer')).body.kind, 'whole');
  });
}

test('JSON that a caller of a stream gets is no stream', async (t) => {
  const bed = await testbed(t, (_key, response) => json(response, 200, { choices: [] }));
  assert.equal((await expectKind(bed.call({ meters: lineMeters }), 'answer')).body.kind, 'whole');
});

test('an error before content that is in no free row costs the bound', async (t) => {
  const bed = await testbed(t, (_key, response) => events(response).end('error {"error":{"message":"of no known kind"}}\n'), {
    keys: { a: 'x', b: 'y' },
  });
  const { attempts } = await expectKind(bed.call({ meters: lineMeters }), 'answer');
  assert.deepEqual(
    attempts.map(({ outcome }) => outcome),
    ['unknown'],
  );
});
