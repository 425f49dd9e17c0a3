import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { CallBody } from '../core/audit/types.ts';
import { refuse } from '../core/errors.ts';
import { createWorld, type World } from './line.fixture.ts';
import { serve as serveLine } from './line.ts';
import type { InFlight } from './link/active-keys.ts';
import { serve } from './upstream/testbed.ts';

interface Upload {
  readonly world: World;
  readonly socket: Socket;
  readonly call: InFlight;
  /** All that came back. */
  text(): string;
}

/** A client that has sent half of its request. */
async function upload(t: TestContext): Promise<Upload> {
  const world = createWorld(t);
  const begun = Promise.withResolvers<void>();
  const origin = await serve(t, (request, response) => {
    void serveLine(world.context, request, response);
    request.once('data', () => begun.resolve());
  });
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const head = ['POST /v1/chat/completions HTTP/1.1', 'host: x', `authorization: Bearer ${world.token}`, 'content-length: 100'];
  socket.write(`${head.join('\r\n')}\r\n\r\n{"model"`);
  await begun.promise;
  const [call] = world.caller().active.inFlight;
  assert.ok(call !== undefined);
  return { world, socket, call, text: () => text };
}

function entries({ purse }: World): unknown[] {
  return (purse.entries as readonly CallBody[]).map(({ code, status }) => [code, status]);
}

test('a key that is killed while its client still sends ends that call: one answer, one entry, nothing in flight', async (t) => {
  const { world, socket, call, text } = await upload(t);
  const closed = once(socket, 'close');
  const { finished } = call;
  call.revoke(refuse('key_revoked', 'The key was deleted.'));
  await Promise.all([closed, finished]);
  assert.match(text(), /^HTTP\/1\.1 401 [\s\S]*key_revoked/);
  assert.deepEqual([entries(world), world.caller().active.inFlight.size], [[['key_revoked', 401]], 0]);
});

test('a client that leaves while it sends is one entry', async (t) => {
  const { world, socket, call } = await upload(t);
  const { finished } = call;
  socket.destroy();
  await finished;
  assert.deepEqual([entries(world), world.caller().active.inFlight.size], [[['client_disconnected', 499]], 0]);
});
