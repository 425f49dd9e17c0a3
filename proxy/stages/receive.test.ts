import assert from 'node:assert/strict';
import { request as send } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { isRefusal } from '../../core/errors.ts';
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
      receive(request, limit).then((body) => {
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

test('a compressed body is refused: it could not be bounded by what was read', async (t) => {
  const world = await createWorld(t);
  await post(world, ['{}'], { 'content-encoding': 'gzip' });
  assert.equal(await world.received[0], 'invalid_request');
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
    await receive(request, limit);
    listeners.push(request.socket.listenerCount('close'));
    response.end();
  });
  for (let i = 0; i < 3; i += 1) await (await fetch(origin, { method: 'POST', body: '{}' })).arrayBuffer();
  assert.equal(new Set(listeners).size, 1);
});
