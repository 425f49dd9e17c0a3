import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { startWorld } from './harness.ts';

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
    assert.deepEqual(JSON.parse(call.body.toString()), ask);
    assert.equal(call.headers['content-encoding'], undefined);
  }
  assert.equal(world.provider.calls().length, 2);

  const unknown = await post('lzma', plain);
  assert.equal(unknown.status, 415);
  assert.equal(unknown.headers.get('accept-encoding'), 'gzip, deflate, br, zstd');
  const { error } = (await unknown.json()) as { readonly error: { readonly code: string } };
  assert.equal(error.code, 'unsupported_encoding');
});
