import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { limitConnections, ReceiveBudget } from '../connections.ts';
import { makeCertificates, silent, type TestCertificates } from '../sessions/world.fixture.ts';
import { answerReviews, createOperatorServer } from './server.ts';

let certificates: TestCertificates;
before(async () => {
  certificates = await makeCertificates();
});

const echo: Review = async (body) => ({ status: 200, body: { echo: body } });
type Review = Parameters<typeof answerReviews>[1];

async function serve(t: TestContext, review: Review): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createOperatorServer(silent);
  answerReviews(server, review, silent);
  server.setSecureContext({ cert: certificates.cert, key: certificates.key });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Answers each review with its body. */
async function start(t: TestContext): Promise<number> {
  return (await serve(t, echo)).port;
}

async function open(t: TestContext, port: number): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca: certificates.ca });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** Uses a connection of its own, or one of `agent`'s. */
function post(port: number, body: string, agent: Agent | false = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', ca: certificates.ca, path: '/inject', method: 'POST', agent };
    const sent = request(options, async (response) => {
      let text = '';
      for await (const part of response) text += part;
      resolve(`${response.statusCode} ${text}`);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('a review is answered, and what is no JSON is left to the review', async (t) => {
  const port = await start(t);
  assert.equal(await post(port, '{"a":1}'), '200 {"echo":{"a":1}}');
  assert.equal(await post(port, 'no'), '200 {"echo":null}');
});

// The API server keeps an idle connection for 90 s, and counts one that closes under it as a webhook failure.
test('an idle connection is kept for longer than the API server keeps it', async (t) => {
  const { server, port } = await serve(t, echo);
  assert.equal(server.keepAliveTimeout, 120_000);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let connections = 0;
  server.on('secureConnection', () => {
    connections += 1;
  });
  await post(port, '1', agent);
  await post(port, '2', agent);
  assert.equal(connections, 1);
});

test('a server that closes answers what it has begun, and no more on that connection', async (t) => {
  const begun = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<void>();
  const { server, port } = await serve(t, async (body) => {
    begun.resolve();
    await decided.promise;
    return { status: 200, body: { echo: body } };
  });
  const answered = post(port, '1', new Agent({ keepAlive: true }));
  await begun.promise;
  server.close();
  server.closeIdleConnections();
  const closed = once(server, 'close');
  decided.resolve();
  assert.equal(await answered, '200 {"echo":1}');
  await closed;
  await assert.rejects(post(port, '2'), { code: 'ECONNREFUSED' });
});

test('half-sent reviews of one address take so much memory and no more, and give it back', async (t) => {
  const port = await start(t);
  const half = `POST /inject HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n${' '.repeat(7_000_000)}`;
  const sockets = await Promise.all(Array.from({ length: 8 }, () => open(t, port)));
  let ended = 0;
  const closings = sockets.map(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.on('close', () => {
          ended += 1;
          resolve();
        });
        socket.resume();
        socket.write(half);
      }),
  );
  while (ended < 4) await sleep(2);
  for (const socket of sockets) socket.destroy();
  await Promise.all(closings);
  while (!(await post(port, `"${'x'.repeat(1_000_000)}"`).catch(() => '')).startsWith('200')) await sleep(2);
});

test('room is shared by all, bounded for each address, and comes back', () => {
  const room = new ReceiveBudget({ bytes: 10, perAddressBytes: 6 });
  assert.ok(room.take('a', 6));
  assert.ok(!room.take('a', 1));
  assert.ok(room.take('b', 4));
  assert.ok(!room.take('c', 1));
  room.release('a', 6);
  assert.ok(room.take('c', 6));
});

test('connections of one address beyond the bound are ended, and one that left makes room', async (t) => {
  const server = createOperatorServer(silent);
  limitConnections(server, 1);
  server.setSecureContext({ cert: certificates.cert, key: certificates.key });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const first = await open(t, port);
  await assert.rejects(open(t, port));
  first.destroy();
  for (let isIn = false; !isIn; )
    isIn = await open(t, port)
      .then(() => true)
      .catch(() => false);
});
