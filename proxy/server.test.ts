import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Connections } from './intake/connections.ts';
import { defaultLimits, type ProxyLimits } from './limits.ts';
import { createAgentServer, type Handler, listen } from './server.ts';

const anywhere = { host: '127.0.0.1', port: 0 };

interface Started {
  readonly server: Server;
  readonly url: string;
  readonly connections: Connections;
}

async function start(t: TestContext, handler: Handler, limits: ProxyLimits = defaultLimits): Promise<Started> {
  const connections = new Connections(limits, () => performance.now());
  const server = createAgentServer(handler, { limits, connections });
  t.after(() => server.close().closeAllConnections());
  return { server, connections, url: await listen(server, anywhere) };
}

/** Opens sockets that send nothing; resolves once they are open. `open` counts those that still are. */
async function idleSockets(t: TestContext, url: string, count: number): Promise<{ open(): number }> {
  const sockets = Array.from({ length: count }, () => connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {}));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  let open = count;
  for (const socket of sockets) socket.resume().on('close', () => --open);
  return { open: () => open };
}

/** A handler for which every request has a known key; only one for `/` has an answer. */
function known(connections: () => Connections): Handler {
  return async (request, response) => {
    connections().know(request);
    request.resume();
    if (request.url !== '/') return;
    response.end('ok');
    connections().rest(request.socket);
  };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo(); waited += 5) {
    assert.ok(waited < 10_000, 'not within ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
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
  await assert.rejects(
    listen(createAgentServer(ok, { limits: defaultLimits, connections: new Connections(defaultLimits, () => 0) }), {
      host: '127.0.0.1',
      port,
    }),
    {
      message: new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
    },
  );
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

for (const [what, limit] of Object.entries({ 'of all': { connections: 100 }, 'of one address': { connectionsPerAddress: 100 } })) {
  test(`sockets without a key up to the limit ${what} do not shut out a call: the oldest gives way`, async (t) => {
    const started = await start(
      t,
      known(() => started.connections),
      { ...defaultLimits, ...limit },
    );
    const sockets = await idleSockets(t, started.url, 100);
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const call = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get(started.url, { agent }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject);
      });
    assert.equal(await call(), 200);
    await until(() => sockets.open() === 99);
    // The connection of a known key stays, however many come.
    const more = await idleSockets(t, started.url, 150);
    await until(() => sockets.open() + more.open() === 99);
    assert.equal(await call(), 200);
  });
}

/** Opens sockets that have had an answer, or wait for one. */
async function keyedSockets(t: TestContext, url: string, { path, count }: { path: string; count: number }): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {}));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const answered = sockets.map((socket) => (path === '/' ? once(socket, 'data') : once(socket, 'connect')));
  const length = path === '/drip' ? 'content-length: 9\r\n' : '';
  for (const socket of sockets) socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\n${length}\r\n`);
  await Promise.all(answered);
  return sockets;
}

for (const [what, limit] of Object.entries({ 'of all': { connections: 40 }, 'of one address': { connectionsPerAddress: 40 } })) {
  test(`idle sockets of known keys up to the limit ${what} do not shut out a call, and none that waits for its answer is cut`, async (t) => {
    const started = await start(
      t,
      known(() => started.connections),
      { ...defaultLimits, ...limit },
    );
    const waiting = await keyedSockets(t, started.url, { path: '/slow', count: 10 });
    const resting = await keyedSockets(t, started.url, { path: '/', count: 30 });
    for (let call = 0; call < 3; call += 1) assert.match(await raw(started.url, 'GET / HTTP/1.1\r\nhost: x\r\n\r\nx'), /ok/);
    assert.deepEqual([resting[0]?.closed, resting.at(-1)?.closed], [true, false]);
    assert.ok(waiting.every((socket) => !socket.closed));
  });
}

for (const [what, limit] of Object.entries({ 'of all': { connections: 40 }, 'of one address': { connectionsPerAddress: 40 } })) {
  test(`requests of known keys whose bodies never come, up to the limit ${what}, do not shut out a call`, async (t) => {
    const started = await start(
      t,
      known(() => started.connections),
      { ...defaultLimits, ...limit },
    );
    const waiting = await keyedSockets(t, started.url, { path: '/slow', count: 10 });
    const dripping = await keyedSockets(t, started.url, { path: '/drip', count: 30 });
    for (let call = 0; call < 3; call += 1) assert.match(await raw(started.url, 'GET / HTTP/1.1\r\nhost: x\r\n\r\nx'), /ok/);
    await until(() => dripping.some((socket) => socket.closed));
    assert.ok(dripping.filter((socket) => socket.closed).length <= 3);
    assert.ok(waiting.every((socket) => !socket.closed));
  });
}

test('a connection without a known key is closed in time, one with a key stays', async (t) => {
  const started = await start(
    t,
    known(() => started.connections),
    { ...defaultLimits, keylessMs: 50 },
  );
  const keyed = connect(Number(new URL(started.url).port), '127.0.0.1');
  t.after(() => keyed.destroy());
  keyed.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(keyed, 'data');
  const sockets = await idleSockets(t, started.url, 3);
  await until(() => sockets.open() === 0);
  assert.equal(keyed.closed, false);
});
