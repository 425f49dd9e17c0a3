import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { defaultLimits } from './limits.ts';
import { createAgentServer, type Handler, listen } from './server.ts';

const anywhere = { host: '127.0.0.1', port: 0 };

async function start(t: TestContext, handler: Handler, limits = defaultLimits): Promise<{ server: Server; url: string }> {
  const server = createAgentServer(handler, limits);
  t.after(() => server.close().closeAllConnections());
  return { server, url: await listen(server, anywhere) };
}

const ok: Handler = async (request, response) => {
  request.resume();
  response.end('ok');
};

/** Writes bytes, and gives all that comes back until the other side ends. */
async function raw(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(text);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

test('a server listens at its address, and says where that is', async (t) => {
  const { url } = await start(t, ok);
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(await (await fetch(url)).text(), 'ok');
});

test('an address that is taken is named', async (t) => {
  const { url } = await start(t, ok);
  const port = Number(new URL(url).port);
  await assert.rejects(listen(createAgentServer(ok, defaultLimits), { host: '127.0.0.1', port }), {
    message: new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
  });
});

test('headers over the limit never reach the line', async (t) => {
  let served = 0;
  const { url } = await start(
    t,
    async (_, response) => {
      served += 1;
      response.end();
    },
    { ...defaultLimits, headerBytes: 1024 },
  );
  const answer = await raw(url, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(2000)}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 431 /);
  assert.equal(served, 0);
});

test('an upgrade is a plain request, and CONNECT is cut: no socket is without an owner', async (t) => {
  const { url } = await start(t, ok);
  const upgrade = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n';
  assert.match(await raw(url, upgrade), /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n[\s\S]*ok/);
  assert.equal(await raw(url, 'CONNECT api.openai.com:443 HTTP/1.1\r\nhost: api.openai.com\r\n\r\n'), '');
  assert.equal(await (await fetch(url)).text(), 'ok');
});

test('during shutdown, a request is the last of its connection', async (t) => {
  const arrived = Promise.withResolvers<void>();
  const { server, url } = await start(t, async (request, response) => {
    request.resume();
    if (request.url === '/slow') {
      arrived.resolve();
      setTimeout(() => response.end('slow'), 200);
    } else response.end('ok');
  });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n');
  await arrived.promise;
  const closed = once(server, 'close');
  server.close();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  assert.match(text, /slow/);
  assert.match(text, /connection: close/i);
  await closed;
});
