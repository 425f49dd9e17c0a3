import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { childEnvironment, ended } from './cli.ts';
import { eventually } from './harness.ts';

const root = join(import.meta.dirname, '..');

test('npm start gives a key that works on all three providers, and shows calls as they arrive', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'keyforge-start-'));
  for (const name of ['core', 'proxy', 'operator', 'simulator', 'cli', 'examples', 'package.json'])
    await cp(join(root, name), join(copy, name), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  const child = spawn(process.execPath, ['cli/start/start.ts'], { cwd: copy, env: childEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  const end = ended(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    await eventually(() => (output.includes('Calls appear here') ? true : undefined), 'the welcome', 60_000);
    const url = /KeyForge is ready at (\S+?),? /.exec(output)?.[1] ?? '';
    const token = /vk_\w{49}/.exec(output)?.[0] ?? '';
    const call = async (path: string, body: object): Promise<void> => {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200, `${path}: ${await response.text()}`);
    };
    assert.match(output, /openai +simulated/);
    for (const [path, body] of [
      ['/v1/chat/completions', { model: 'fast', messages: [{ role: 'user', content: 'Hello' }] }],
      ['/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 200, messages: [{ role: 'user', content: 'Hello' }] }],
      ['/v1beta/models/gemini-2.5-flash:generateContent', { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }],
    ] as const) {
      await call(path, body);
    }
    for (const model of ['gpt-5.4-mini', 'claude-haiku-4-5', 'gemini-2.5-flash']) {
      const line = new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}${model} {2}\\d+ tokens in, \\d+ out {2}\\$0\\.\\d+, \\$0\\.\\d+ left$`, 'm');
      await eventually(() => (line.test(output) ? true : undefined), `the line of ${model} in ${output.slice(-400)}`);
    }
    // As `npm start | head` has it: it serves on, and what it prints has no reader.
    child.stdout.destroy();
    for (let round = 0; round < 3; round += 1) {
      await call('/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 200, messages: [{ role: 'user', content: 'Hello' }] });
      await pause(300);
    }
  } finally {
    child.kill('SIGINT');
  }
  const { code, stderr } = await end;
  assert.equal(code, 0, stderr);
  await rm(copy, { recursive: true, force: true });
});
