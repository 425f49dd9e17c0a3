import assert from 'node:assert/strict';
import { fstatSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { folder, silent } from './spool.fixture.ts';
import { Syncer } from './sync.ts';

test('segments retired while a group is under way are closed once, and the spool stays writable', async (t) => {
  const dir = folder(t);
  const syncer = new Syncer({ folder: openSync(dir, 'r'), delayMs: 1, logger: silent });
  const files = Array.from({ length: 4 }, (_, i) => openSync(join(dir, `${i}.seg`), 'w+'));
  const [a, b, c, d] = files as [number, number, number, number];
  for (const fd of files) {
    writeSync(fd, 'x');
    syncer.touch(fd);
  }
  syncer.roll(a);
  const group = syncer.settled();
  await Promise.resolve();
  syncer.roll(b);
  syncer.roll(c);
  await group;
  await syncer.settled();
  syncer.heal();
  for (const fd of [a, b, c]) assert.throws(() => fstatSync(fd), { code: 'EBADF' });
  assert.equal(fstatSync(d).size, 1);
});
