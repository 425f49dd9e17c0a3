import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { refusalTable } from '../core/errors.ts';
import { startWorld, type World } from './harness.ts';

let world: World;
before(async () => {
  world = await startWorld();
});
after(() => world.close());

const ours: ReadonlySet<number> = new Set(Object.values(refusalTable).map(({ status }) => status));

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One request, sent as raw as node:http lets it through; status 0 where the connection was refused. */
function send(options: {
  readonly method?: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Buffer;
}): Promise<Answer> {
  return new Promise((resolve) => {
    const outgoing = request(
      world.proxyUrl,
      { method: options.method ?? 'POST', path: options.path, headers: options.headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('close', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      },
    );
    outgoing.on('error', () => resolve({ status: 0, body: '' }));
    outgoing.end(options.body ?? '');
  });
}

const good = JSON.stringify({ model: 'gpt-5.4-mini', max_tokens: 5, messages: [{ role: 'user', content: 'x' }] });
const headerText = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 80 });

test('no Authorization but the right one opens anything', async () => {
  const before = world.provider.calls().length;
  const variants = fc.oneof(
    headerText,
    headerText.map((text) => `Bearer ${text}`),
    fc.nat(50).map((at) => `Bearer ${world.token.slice(0, at)}`),
    fc.nat(51).map((at) => `Bearer ${world.token.slice(0, at)}${world.token[at] === 'x' ? 'y' : 'x'}${world.token.slice(at + 1)}`),
    headerText.filter((text) => /\S/.test(text)).map((text) => `Bearer ${world.token}${text.replaceAll(' ', '_')}`),
    fc.constantFrom("Bearer ' OR 1=1 --", 'Bearer null', 'Bearer undefined', 'Bearer [object Object]', 'Basic dms6dms=', 'Bearer'),
  );
  const names = fc.constantFrom('authorization', 'x-api-key', 'api-key', 'x-goog-api-key');
  await fc.assert(
    fc.asyncProperty(names, variants, async (name, value) => {
      const { status } = await send({
        path: '/v1/chat/completions',
        headers: { [name]: value, 'content-type': 'application/json' },
        body: Buffer.from(good),
      });
      assert.ok(status === 401 || status === 400 || status === 0, `${status} for ${name}: ${value}`);
    }),
    { numRuns: 150 },
  );
  assert.equal(world.provider.calls().length, before, 'nothing reached the provider');
});

test('no Host, forwarding header or absolute URL changes where a credential goes', async () => {
  const hosts = fc.oneof(
    headerText,
    fc.constantFrom('evil.example', '127.0.0.1:1', 'api.openai.com@evil.example', '[::1]', 'localhost:99999'),
  );
  const names = fc.constantFrom(
    'host',
    'x-forwarded-host',
    'x-forwarded-for',
    'forwarded',
    'x-original-url',
    'x-rewrite-url',
    'x-portkey-custom-host',
    'openai-base-url',
  );
  await fc.assert(
    fc.asyncProperty(names, hosts, async (name, value) => {
      const before = world.provider.calls().length;
      const headers = { authorization: `Bearer ${world.token}`, 'content-type': 'application/json', [name]: value };
      const { status } = await send({ path: '/v1/chat/completions', headers, body: Buffer.from(good) });
      assert.ok(status === 200 ? world.provider.calls().length === before + 1 : status === 0 || ours.has(status), String(status));
      const seen = world.provider.calls().at(-1);
      if (status === 200) assert.ok(seen?.headers.host !== undefined && world.provider.url.endsWith(seen.headers.host));
    }),
    { numRuns: 60 },
  );
});

test('an unknown path is refused and reaches nobody', async () => {
  const segment = fc.oneof(
    fc.constantFrom(
      'v1',
      'v1beta',
      'chat',
      'completions',
      'models',
      'messages',
      '..',
      '.',
      '%2e%2e',
      '%2f',
      '',
      'files',
      'admin',
      'gemini-2.5-flash:generateContent',
      '%00',
      '?',
      'realtime',
    ),
    fc.string({ unit: fc.constantFrom(...'abcz019-_.:~%'), maxLength: 12 }),
  );
  const known =
    /^\/(v1\/)?(chat\/completions|responses|embeddings|models|messages|messages\/count_tokens)(\?|$)|^\/v1(beta)?\/models(\/[^/]*)?(\?|$)|^\/keyforge\/v1\/(self|keys)/;
  await fc.assert(
    fc.asyncProperty(
      fc.array(segment, { maxLength: 6 }),
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'),
      async (segments, method) => {
        const path = `/${segments.join('/')}`;
        fc.pre(!known.test(path));
        const before = world.provider.calls().length;
        const { status } = await send({
          method,
          path,
          headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
          body: Buffer.from(good),
        });
        assert.ok(status === 0 || (status >= 400 && status < 500), `${status} for ${method} ${path}`);
        assert.equal(world.provider.calls().length, before, `${method} ${path} reached the provider`);
      },
    ),
    { numRuns: 200 },
  );
});

test('no body makes a 5xx of ours, and none that is not one plain reading reaches the provider', async () => {
  const routes = [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/embeddings',
    '/v1/messages',
    '/v1/messages/count_tokens',
    '/v1beta/models/gemini-2.5-flash:generateContent',
  ];
  const field = fc.constantFrom(
    'model',
    'messages',
    'input',
    'contents',
    'max_tokens',
    'stream',
    'n',
    'tools',
    'generationConfig',
    'system',
    'stream_options',
  );
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.json({ maxDepth: 3 }).map((text) => Buffer.from(text)),
    fc.dictionary(field, fc.jsonValue({ maxDepth: 3 })).map((value) => Buffer.from(JSON.stringify({ model: 'gpt-5.4-mini', ...value }))),
    fc.nat(good.length).map((at) => Buffer.from(good.slice(0, at))),
    fc
      .constantFrom(
        '{"model":"gpt-5.4-mini","\\u006dodel":"gpt-5.4","messages":[]}',
        '\ufeff{}',
        '{"model":"gpt-5.4-mini"}{}',
        '[]',
        'null',
        '"x"',
        '1e999',
      )
      .map((text) => Buffer.from(text)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...routes), body, async (path, bytes) => {
      const { status, body: text } = await send({
        path,
        headers: { 'x-api-key': world.token, 'anthropic-version': '2023-06-01', 'content-type': 'application/json' },
        body: bytes,
      });
      assert.ok(status < 500 && status !== 0, `${status} for ${path} ${bytes.toString()}: ${text}`);
    }),
    { numRuns: 200 },
  );
});

test('duplicate governing fields are refused, however they are written', async () => {
  const before = world.provider.calls().length;
  for (const body of [
    '{"model":"gpt-5.4-mini","model":"gpt-5.4","max_tokens":5,"messages":[]}',
    '{"model":"gpt-5.4-mini","mod\\u0065l":"gpt-5.4","max_tokens":5,"messages":[]}',
    '{"model":"gpt-5.4-mini","max_tokens":5,"max_tokens":100000,"messages":[]}',
  ]) {
    const { status, body: text } = await send({
      path: '/v1/chat/completions',
      headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
      body: Buffer.from(body),
    });
    assert.equal(status, 400, text);
    assert.match(text, /invalid_request/);
  }
  assert.equal(world.provider.calls().length, before);
});

test('smuggled and broken HTTP is answered with 4xx or a closed connection, and reaches nobody', async () => {
  const before = world.provider.calls().length;
  const { hostname, port } = new URL(world.proxyUrl);
  const auth = `Authorization: Bearer ${world.token}\r\n`;
  const texts = [
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${auth}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${auth}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   `,
    `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${auth}Content-Length: -1\r\n\r\n`,
    `GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n`,
    `CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n${auth}\r\n`,
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(200_000)}\r\n\r\n`,
    'not http at all\r\n\r\n',
  ];
  for (const text of texts) {
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk.toString();
        if (received.includes('\r\n')) socket.destroy();
      });
      socket.on('error', () => resolve(received));
      socket.on('close', () => resolve(received));
      socket.setTimeout(3000, () => socket.destroy());
    });
    assert.match(answer, /^(HTTP\/1\.1 4\d\d|$)/, text.slice(0, 80));
  }
  assert.equal(world.provider.calls().length, before);
});

test('it still serves after all that', async () => {
  assert.equal((await world.post('/v1/chat/completions', good)).status, 200);
});
