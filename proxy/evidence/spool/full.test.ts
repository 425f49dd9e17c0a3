import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { folder, open, owed } from './spool.fixture.ts';

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;

test('a full disk refuses records and tears none; with room again the chain continues', {
  skip: !hasPrlimit && 'needs prlimit',
}, async (t) => {
  const dir = folder(t);
  const fixture = fileURLToPath(new URL('full.fixture.ts', import.meta.url));
  const child = spawn('bash', ['-c', 'ulimit -S -f 20; exec "$0" "$@"', process.execPath, fixture, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const printed = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const full = Number((await printed.next()).value);
  assert.equal(Number((await printed.next()).value), full, 'a second attempt neither writes nor moves the chain');
  assert.ok(full > 10);
  assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']).status, 0);
  child.stdin.write('go on\n');
  const last = Number((await printed.next()).value);
  assert.ok(last >= full + 2);
  await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');

  const spool = open(dir);
  const seqs = owed(spool).map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    seqs.map((_, i) => i),
  );
  assert.equal(seqs.length, last + 1);
  assert.equal(spool.recovered[0]?.whole, true, 'no partial record was left behind');
  await spool.close();
});
