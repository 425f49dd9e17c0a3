import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PriceListing } from '../../operator/prices/listing.ts';
import { captureStreams } from '../streams.fixture.ts';
import { runPrices } from './prices.ts';

const dir = mkdtempSync(join(tmpdir(), 'keyforge-prices-'));
const fell = { class: 'input', reason: 'fell', from: '10', to: '2.5', inForce: '10' } as const;
let waiting: readonly PriceListing[] = [];
let asked: readonly (string | undefined)[] = [];

const server = createServer(({ method, url, headers }, response) => {
  asked = [method, url, headers.authorization];
  const isKnown = method === 'GET' || url === '/v1/prices/OpenRouter/acknowledge?model=deepseek%2Fdeepseek-r1';
  const found = method === 'GET' ? { waiting } : { provider: 'OpenRouter', models: ['deepseek/deepseek-r1'] };
  response.statusCode = isKnown ? 200 : 404;
  response.end(JSON.stringify(isKnown ? found : { error: { code: 'not_found', message: 'no price of Gemini waits' } }));
});

before(async () => {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  writeFileSync(join(dir, 'admin.url'), `http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  writeFileSync(join(dir, 'admin.token'), 'the-token\n');
});
after(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

async function prices(...args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = captureStreams();
  return { code: await runPrices([...args, '--data', dir], io), ...io.printed };
}

test('prices list shows what waits, from what to what, and why', async () => {
  assert.deepEqual(await prices('list'), { code: 0, out: 'no price waits\n', err: '' });
  waiting = [{ provider: 'OpenAI', model: 'gpt-5.4', prices: [fell] }];
  const { out } = await prices('list');
  assert.equal(
    out,
    'MODEL           CLASS  FROM  TO    IN FORCE  REASON\n' + 'OpenAI/gpt-5.4  input  $10   $2.5  $10       fell by more than half\n',
  );
  assert.deepEqual(JSON.parse((await prices('list', '--json')).out), { waiting });
  assert.deepEqual(asked, ['GET', '/v1/prices', 'Bearer the-token']);
});

test('prices acknowledge names a provider’s model, and says what nobody waits for', async () => {
  const { code, out } = await prices('acknowledge', 'OpenRouter/deepseek/deepseek-r1');
  assert.deepEqual([code, out], [0, 'accepted the prices of deepseek/deepseek-r1\n']);
  assert.deepEqual(await prices('acknowledge', 'Gemini'), { code: 1, out: '', err: 'keyforge prices: no price of Gemini waits\n' });
  assert.equal((await prices('take')).code, 2);
});
