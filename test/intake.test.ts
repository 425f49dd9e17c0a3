import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { recordedCodes, startWorld } from './harness.ts';
import { keyManifest } from './manifests.ts';

const ask = {
  ...{ model: 'gpt-5.4', stream: true, store: false, max_output_tokens: 200 },
  input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi' }] }],
};

test('a compressed body, as Codex sends it, is served and forwarded plain', async () => {
  await using world = await startWorld();
  const post = (encoding: string, body: Buffer): Promise<Response> =>
    fetch(`${world.proxyUrl}/v1/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json', 'content-encoding': encoding },
      body,
    });
  const plain = Buffer.from(JSON.stringify(ask));
  for (const [encoding, body] of [
    ['zstd', zstdCompressSync(plain)],
    ['gzip', gzipSync(plain)],
  ] as const) {
    const response = await post(encoding, body);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /response\.completed/);
  }
  for (const call of world.provider.calls()) {
    assert.deepEqual(JSON.parse(call.body.toString()), { ...ask, service_tier: 'default' });
    assert.equal(call.headers['content-encoding'], undefined);
  }
  assert.equal(world.provider.calls().length, 2);

  const unknown = await post('lzma', plain);
  assert.equal(unknown.status, 415);
  assert.equal(unknown.headers.get('accept-encoding'), 'gzip, deflate, br, zstd');
  const { error } = (await unknown.json()) as { readonly error: { readonly code: string } };
  assert.equal(error.code, 'unsupported_encoding');
});

const mib = 1024 * 1024;

/** The answer to a request whose client reads nothing before it has written everything. */
async function writeFirst(url: string, token: string, bytes: number): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.pause();
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-length: ${bytes}\r\n\r\n`);
  const chunk = Buffer.alloc(64 * 1024, ' ');
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (!socket.write(chunk.subarray(0, left))) await once(socket, 'drain');
  }
  const chunks: Buffer[] = [];
  for await (const part of socket) chunks.push(part as Buffer);
  return Buffer.concat(chunks).toString();
}

test('a client that writes its whole body before it reads sees why it was refused', async () => {
  await using world = await startWorld();
  for (const bytes of [8 * mib, 24 * mib]) {
    const answer = await writeFirst(world.proxyUrl, 'vk_unknown', bytes);
    assert.match(answer, /^HTTP\/1\.1 401 /);
    assert.match(answer, /"invalid_key"/);
  }
  assert.match(await writeFirst(world.proxyUrl, world.token, 33 * mib), /"too_large"/);
});

const hasPython = spawnSync('python3', ['--version']).status === 0;
const script = `
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("POST", "/v1/chat/completions", b" " * (24 << 20), {"Authorization": "Bearer vk_unknown"})
print(connection.getresponse().status)
`;

test('http.client of Python sees why a large body was refused', { skip: hasPython ? false : 'there is no python3' }, async () => {
  await using world = await startWorld();
  const child = spawn('python3', ['-c', script, new URL(world.proxyUrl).port]);
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  await once(child, 'close');
  assert.equal(Buffer.concat(output).toString().trim(), '401');
});

test('a large body is refused before it is sent, where the ledger has just said that nothing is left', async () => {
  await using world = await startWorld({ keys: { 'bot.yaml': keyManifest('bot', { limits: [{ window: 'Day', requests: 1 }] }) } });
  const small = { ...ask, stream: false };
  assert.deepEqual([(await world.post('/v1/responses', small)).status, (await world.post('/v1/responses', small)).status], [200, 402]);
  const socket = connect(Number(new URL(world.proxyUrl).port), '127.0.0.1');
  socket.write(`POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${world.token}\r\ncontent-length: ${8 * mib}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 402 .*"quota_exhausted"/s);
  socket.destroy();
  // Nothing is charged for looking, and it is in the record.
  await world.standalone.close();
  assert.deepEqual([...recordedCodes(world.dataDir)].sort(), [
    ['ok', 1],
    ['quota_exhausted', 2],
  ]);
});
