import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type CacheEntry, cached, cacheFolder, cacheRoot } from './cache.ts';
import { until } from './operator-world.ts';

const home = mkdtempSync(join(tmpdir(), 'keyforge-cache-'));
process.env['XDG_CACHE_HOME'] = home;
mkdirSync(cacheRoot());
after(() => rmSync(home, { recursive: true, force: true }));

function entryOf(name: string, make: CacheEntry['make'] = async (folder) => writeFileSync(join(folder, 'made'), '')): CacheEntry {
  return { name, inputs: ['one'], duration: 'no time', make };
}

function age(path: string, ms: number): void {
  const then = new Date(Date.now() - ms);
  utimesSync(path, then, then);
}

/** A lock as another process, or one that is gone, has left it. */
function lockOf(entry: CacheEntry, holder: string): string {
  const path = `${cacheFolder(entry)}.lock`;
  writeFileSync(path, holder);
  return path;
}

/** Above any process id. */
const nobody = 2 ** 30;

test('an entry is made once, however many ask at the same time, and no lock is left', async () => {
  let made = 0;
  const entry = entryOf('once', async () => {
    made += 1;
  });
  const folders = await Promise.all([cached(entry), cached(entry), cached(entry)]);
  assert.deepEqual(new Set(folders), new Set([cacheFolder(entry)]));
  assert.equal(made, 1);
  assert.deepEqual(readdirSync(cacheRoot()), [basename(cacheFolder(entry))]);
});

test('a lock that is kept fresh is waited for, one of a process that is gone is not', async () => {
  const entry = entryOf('held');
  const lock = lockOf(entry, `${process.pid} ${hostname()}`);
  const asked = cached(entry);
  await pause(1_200);
  assert.ok(!existsSync(cacheFolder(entry)));
  writeFileSync(lock, `${nobody} ${hostname()}`);
  assert.ok(existsSync(join(await asked, 'made')));
});

test('a lock that was not touched for two minutes is nobody’s, though a process has its id', async () => {
  const entry = entryOf('stale');
  age(lockOf(entry, `${process.pid} ${hostname()}`), 121_000);
  assert.ok(existsSync(join(await cached(entry), 'made')));
});

test('a process that cannot be seen, of another container, holds its lock until that is stale', async () => {
  const entry = entryOf('elsewhere');
  const lock = lockOf(entry, `${nobody} elsewhere`);
  const asked = cached(entry);
  await pause(1_200);
  assert.ok(!existsSync(cacheFolder(entry)));
  age(lock, 121_000);
  assert.ok(existsSync(join(await asked, 'made')));
});

test('whoever makes an entry keeps its lock and its folder fresh', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const entry = entryOf('slow', async (folder) => {
    const lock = `${cacheFolder(entry)}.lock`;
    assert.equal(readFileSync(lock, 'utf8'), `${process.pid} ${hostname()}`);
    for (const path of [lock, folder]) age(path, 110_000);
    t.mock.timers.tick(30_000);
    await until('both are touched', async () => [lock, folder].every((path) => Date.now() - statSync(path).mtimeMs < 60_000), 5_000);
  });
  await cached(entry);
});

test('what is made takes away what was not used for a month, and what a killed process left half made', async () => {
  const entry = entryOf('pruned');
  const fresh = ['pruned-used', 'pruned-a.making-live', 'other-old'];
  const old = ['pruned-old', 'pruned-a.making-left'];
  for (const name of [...fresh, ...old]) mkdirSync(join(cacheRoot(), name));
  age(join(cacheRoot(), 'pruned-used'), 29 * 86_400_000);
  age(join(cacheRoot(), 'pruned-old'), 31 * 86_400_000);
  age(join(cacheRoot(), 'other-old'), 31 * 86_400_000);
  age(join(cacheRoot(), 'pruned-a.making-left'), 121_000);
  await cached(entry);
  const left = readdirSync(cacheRoot());
  assert.deepEqual(
    [...fresh, ...old].filter((name) => left.includes(name)),
    fresh,
  );
});

test('an entry that is asked for counts as used', async () => {
  const entry = entryOf('asked');
  age(await cached(entry), 29 * 86_400_000);
  assert.ok(Date.now() - statSync(await cached(entry)).mtimeMs < 60_000);
});
