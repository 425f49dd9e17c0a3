import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockFile } from '../proxy/evidence/spool/lock.ts';

const entry = join(import.meta.dirname, 'keyforge.ts');

/** Exit code and the lines of stderr that are no log. */
async function startedWith(dataDir: string, ...more: readonly string[]): Promise<{ readonly code: unknown; readonly said: string }> {
  const control = ['--control', 'wss://127.0.0.1:1/control', '--control-ca=-----BEGIN CERTIFICATE-----'];
  const listen = ['--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--log-level', 'silent'];
  const child = spawn(process.execPath, [entry, 'proxy', ...control, ...listen, '--data', dataDir, ...more], { env: {} });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, said };
}

test('a proxy that cannot have its folder or its address says so in one line', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'keyforge-proxy-'));
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  const taken = await startedWith(dataDir, '--metrics-listen', `127.0.0.1:${port}`);
  assert.deepEqual([taken.code, taken.said.split('\n').length], [1, 2], taken.said);
  assert.match(taken.said, new RegExp(`^keyforge proxy: 127\\.0\\.0\\.1:${port} is in use`));

  mkdirSync(join(dataDir, 'spool'), { recursive: true });
  const lock = lockFile(join(dataDir, 'spool', 'lock'));
  assert.ok(lock);
  const second = await startedWith(dataDir);
  lock.release();
  assert.deepEqual([second.code, second.said.split('\n').length], [1, 2], second.said);
  assert.match(second.said, /^keyforge proxy: another process is using .*spool; end it, or choose another data folder\n/);
});
