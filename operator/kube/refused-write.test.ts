import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretRefused, writeSecret } from './refused-write.ts';
import { KubeError, KubeUnreachable } from './types.ts';

const token = 'vk_4fZzQ1pLw8RkT3bN6yHc2dVxJm9sGa5eUoXi7tKqWrYlPnB0v';

function failing(error: Error): Promise<string> {
  const write = { secret: 'bot', advice: 'Mend it', values: [token] };
  return writeSecret(write, () => Promise.reject(error)).catch((error: unknown) => {
    if (error instanceof SecretRefused) return error.message;
    throw error;
  });
}

const refusal = (status: number, words: string) =>
  failing(new KubeError(status, 'Forbidden', `POST /api/v1/namespaces/agents/secrets: ${status} ${words}`));

test('a quota, a policy and an immutable Secret are reported in the words of the API server', async () => {
  const quota = 'secrets "bot" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=5, limited: secrets=5';
  assert.equal(
    await refusal(403, quota),
    `the operator cannot write Secret bot: the API server answers 403, ${quota}. Mend it; the operator retries`,
  );
  assert.match(await refusal(400, 'admission webhook "w" denied the request: no Secrets here.'), /no Secrets here\. Mend it/);
  const immutable = 'Secret "bot" is invalid: data: Forbidden: field is immutable when `immutable` is set';
  assert.match(await refusal(422, immutable), /field is immutable/);
});

test('a message that quotes what was to be written, or a part of it, is omitted, in any spelling', async () => {
  const bytes = [...Buffer.from(token)];
  const quotes = [
    token,
    token.slice(20, 30),
    Buffer.from(token).toString('base64').slice(0, 40),
    `data:map[api-key:[${bytes.join(' ')}]]`,
    `[]byte{${bytes.map((byte) => `0x${byte.toString(16)}`).join(', ')}}`,
    'data[x]: Invalid value: "anything": must be short',
  ];
  for (const quote of quotes) {
    const message = await refusal(422, `denied: ${quote} is not wanted`);
    assert.match(message, /answers 422, with a message that is omitted/);
    assert.doesNotMatch(message, /not wanted/);
  }
});

test('a temporary failure is no refusal', async () => {
  for (const error of [new KubeUnreachable('away'), ...[404, 409, 429, 500].map((status) => new KubeError(status, 'X', 'x'))]) {
    await assert.rejects(failing(error), error);
  }
});
