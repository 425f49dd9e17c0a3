import assert from 'node:assert/strict';
import { request as send } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { isRefusal } from '../../core/errors.ts';
import { keyName } from '../../core/names.ts';
import { BodyHold, ByteBudget } from '../intake/byte-budget.ts';
import { serve } from '../upstream/testbed.ts';
import { receive } from './receive.ts';

const limit = 1000;

interface World {
  readonly origin: string;
  /** The body's text, or the code of a refusal, or `left`, of each request. */
  readonly received: Promise<string>[];
  /** Resolves when a request has begun. */
  readonly begun: Promise<void>;
}

async function createWorld(t: TestContext): Promise<World> {
  const received: Promise<string>[] = [];
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const origin = await serve(t, (request, response) => {
    received.push(
      receive(request, { limitBytes: limit }).then((body) => {
        response.writeHead(200, { connection: 'close' }).end();
        return isRefusal(body) ? body.code : (body?.toString() ?? 'left');
      }),
    );
    resolve();
  });
  return { origin, received, begun };
}

/** Posts chunks one after the other, without a length where there is more than one. */
function post({ origin }: World, chunks: readonly string[], headers: Readonly<Record<string, string>> = {}): Promise<void> {
  return new Promise((resolve) => {
    const request = send(origin, { method: 'POST', headers }, (response) => response.resume().on('close', resolve));
    request.on('error', () => resolve());
    for (const chunk of chunks.slice(0, -1)) request.write(chunk);
    request.end(chunks.at(-1));
  });
}

test('a body is received whole, in whatever pieces it comes', async (t) => {
  const world = await createWorld(t);
  await post(world, ['{"a":1}']);
  await post(world, ['{"a"', ':', '2}'], { 'content-encoding': 'identity' });
  await post(world, ['x'.repeat(limit)]);
  await post(world, []);
  assert.deepEqual(await Promise.all(world.received), ['{"a":1}', '{"a":2}', 'x'.repeat(limit), '']);
});

test('a body over the limit is refused, by its length or when it passes the limit', async (t) => {
  const world = await createWorld(t);
  await post(world, ['x'.repeat(limit + 1)]);
  await post(world, ['x'.repeat(limit), 'x', 'x'.repeat(100_000)]);
  assert.deepEqual(await Promise.all(world.received), ['too_large', 'too_large']);
});

test('a body that is announced too large is refused before it is sent', async (t) => {
  const world = await createWorld(t);
  const socket = connect(Number(new URL(world.origin).port), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${limit + 1}\r\n\r\n`);
  await world.begun;
  assert.equal(await world.received[0], 'too_large');
});

const text = Buffer.from('{"model":"m"}');
const codings: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gzipSync,
  'X-GZIP': gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  ZSTD: zstdCompressSync,
  Identity: (bytes) => bytes,
  'gzip, identity, zstd': (bytes) => zstdCompressSync(gzipSync(bytes)),
  'br,deflate': (bytes) => deflateSync(brotliCompressSync(bytes)),
};

async function postEncoded({ origin }: World, encoding: string, body: Buffer): Promise<void> {
  await fetch(origin, { method: 'POST', headers: { 'content-encoding': encoding }, body }).catch(() => {});
}

test('a compressed body is received decoded, in every coding and order', async (t) => {
  const world = await createWorld(t);
  for (const [encoding, encode] of Object.entries(codings)) await postEncoded(world, encoding, encode(text));
  assert.deepEqual(
    await Promise.all(world.received),
    Object.keys(codings).map(() => text.toString()),
  );
});

test('a compressed body that is damaged or cut off is refused', async (t) => {
  const world = await createWorld(t);
  for (const [encoding, encode] of Object.entries(codings)) {
    if (encoding === 'Identity') continue;
    const whole = encode(Buffer.from('0123456789'.repeat(40)));
    await postEncoded(world, encoding, whole.subarray(0, whole.length - 3));
    await postEncoded(world, encoding, Buffer.from('{"model":"m"}'));
  }
  assert.deepEqual([...new Set(await Promise.all(world.received))], ['invalid_request']);
});

test('a coding that nobody knows is refused', async (t) => {
  const world = await createWorld(t);
  for (const encoding of ['compress', 'gzip, exi', 'gzip,gzip,gzip,gzip', 'constructor']) await postEncoded(world, encoding, text);
  assert.deepEqual([...new Set(await Promise.all(world.received))], ['unsupported_encoding']);
});

test('a bomb is cut at the limit, and takes the room of what it decodes to', async (t) => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * mib));
  assert.ok(bomb.length < 10_000);
  const budget = new ByteBudget({ totalBytes: 8 * mib });
  const origin = await createBudgetWorld(t, budget);
  const post = async (body: Buffer): Promise<string> =>
    (await fetch(origin, { method: 'POST', headers: { 'content-encoding': 'zstd' }, body })).text();
  assert.equal(await post(bomb), 'too_large');
  assert.equal(budget.usedBytes, 0);
  assert.equal(await post(zstdCompressSync(Buffer.alloc(5 * mib))), String(5 * mib));
  assert.ok(budget.usedBytes >= 5 * mib);
  assert.equal(await post(zstdCompressSync(Buffer.alloc(5 * mib))), 'overloaded');
});

test('a client that leaves midway gives null', async (t) => {
  const world = await createWorld(t);
  const socket = connect(Number(new URL(world.origin).port), '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{"a"');
  await world.begun;
  socket.destroy();
  assert.equal(await world.received[0], 'left');
});

test('requests that follow each other on one connection leave nothing behind on it', async (t) => {
  const listeners: number[] = [];
  const origin = await serve(t, async (request, response) => {
    await receive(request, { limitBytes: limit });
    listeners.push(request.socket.listenerCount('close'));
    response.end();
  });
  for (let i = 0; i < 3; i += 1) await (await fetch(origin, { method: 'POST', body: '{}' })).arrayBuffer();
  assert.equal(new Set(listeners).size, 1);
});

const mib = 1024 * 1024;

/** A server that holds every body in this budget until it closes, and answers with its length or the code of its refusal. */
function createBudgetWorld(t: TestContext, budget: ByteBudget): Promise<string> {
  return serve(t, async (request, response) => {
    const hold = new BodyHold(budget, [keyName('agents', request.headers['x-key'] === undefined ? 'bot' : 'other')]);
    const body = await receive(request, { limitBytes: 32 * mib, hold, paceMs: 100 });
    if (isRefusal(body) || body === null) budget.release(hold);
    response.writeHead(200, { connection: 'close' }).end(isRefusal(body) ? body.code : String(body?.length));
  });
}

async function outcomeOf(origin: string, body: Buffer | ReadableStream): Promise<string> {
  return (await fetch(origin, { method: 'POST', body, duplex: 'half' } as RequestInit)).text();
}

/** Sends chunks without a length. */
function chunked(count: number, bytes: number): ReadableStream {
  let left = count;
  return new ReadableStream({
    pull(controller) {
      if (left === 0) controller.close();
      else controller.enqueue(Buffer.alloc(bytes));
      left -= 1;
    },
  });
}

test('a body takes its room before it is read, and waits or is refused without room', async (t) => {
  const budget = new ByteBudget({ totalBytes: 4 * mib, waitMs: 50 });
  const origin = await createBudgetWorld(t, budget);
  assert.equal(await outcomeOf(origin, Buffer.alloc(3 * mib)), String(3 * mib));
  assert.equal(budget.usedBytes, 3 * mib);
  assert.equal(await outcomeOf(origin, Buffer.alloc(2 * mib)), 'overloaded');
  assert.equal(await outcomeOf(origin, Buffer.alloc(1000)), '1000');
  assert.equal(await outcomeOf(origin, Buffer.alloc(5 * mib)), 'too_large');
});

test('a body without a length takes its room in steps', async (t) => {
  const budget = new ByteBudget({ totalBytes: 4 * mib, waitMs: 50 });
  const origin = await createBudgetWorld(t, budget);
  assert.equal(await outcomeOf(origin, chunked(20, 100_000)), '2000000');
  assert.ok(budget.usedBytes >= 2_000_000 && budget.usedBytes < 2_400_000, `${budget.usedBytes}`);
  assert.equal(await outcomeOf(origin, chunked(40, 100_000)), 'overloaded');
  assert.ok(budget.usedBytes < 2_400_000, `${budget.usedBytes}`);
});

test('a large body that hardly arrives gives its room back while room is short', async (t) => {
  const budget = new ByteBudget({ totalBytes: 4 * mib, waitMs: 60_000 });
  const origin = await createBudgetWorld(t, budget);
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${3 * mib}\r\n\r\n{`);
  while (budget.usedBytes === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(await outcomeOf(origin, Buffer.alloc(2 * mib)), String(2 * mib));
});

test('a client that leaves while its body waits for room leaves nothing behind', async (t) => {
  const budget = new ByteBudget({ totalBytes: 2 * mib, waitMs: 60_000 });
  const origin = await createBudgetWorld(t, budget);
  assert.equal(await outcomeOf(origin, Buffer.alloc(2 * mib)), String(2 * mib));
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${mib}\r\n\r\n{`);
  while (budget.waiting === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  socket.destroy();
  while (budget.waiting > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(budget.usedBytes, 2 * mib);
});
