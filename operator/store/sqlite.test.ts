import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { storeConformance } from './conformance.ts';
import { openSqliteStore } from './sqlite.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyforge-store-'));
after(() => rmSync(folder, { recursive: true }));
const clock = (): number => Date.UTC(2026, 10, 21);

storeConformance('SQLite', (place, options) => openSqliteStore({ path: join(folder, `${place}.db`), ...options }));

test('its files can be read by their owner only', () => {
  const path = join(folder, 'private.db');
  const store = openSqliteStore({ path, clock });
  store.transaction((tx) => tx.keys.putCreatedAt(keyName('a', 'b'), 1));
  for (const file of readdirSync(folder).filter((name) => name.startsWith('private.db'))) {
    assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
  }
  store.close();
});

test('readers do not block the writer: its journal is a WAL', () => {
  const path = join(folder, 'modes.db');
  openSqliteStore({ path, clock }).close();
  const db = new DatabaseSync(path);
  assert.deepEqual({ ...db.prepare('PRAGMA journal_mode').get() }, { journal_mode: 'wal' });
  db.close();
});

test('a store of a later version is refused by name', () => {
  const path = join(folder, 'later.db');
  openSqliteStore({ path, clock }).close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE meta SET value = '99' WHERE name = 'schema'");
  db.close();
  assert.throws(() => openSqliteStore({ path, clock }), /later\.db has schema version 99/);
});

test('every transaction that returned survives SIGKILL', async () => {
  const path = join(folder, 'killed.db');
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', writer(path)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let acknowledged = -1;
  for await (const line of createInterface(child.stdout)) {
    acknowledged = Number(line);
    if (acknowledged === 40) child.kill('SIGKILL');
  }
  assert.ok(acknowledged >= 40);
  const store = openSqliteStore({ path, clock });
  store.transaction((tx) => {
    for (let count = 0; count <= acknowledged; count += 1) {
      assert.equal(tx.keys.createdAt(keyName('n', `k${count}`)), count);
      assert.equal(tx.keys.tokens(keyName('n', `k${count}`)).length, 1, 'both halves of a transaction, or neither');
    }
  });
  store.close();
});

function writer(path: string): string {
  const module = new URL('./sqlite.ts', import.meta.url).href;
  return `
    const { openSqliteStore } = await import(${JSON.stringify(module)});
    const { writeSync } = await import('node:fs');
    const store = openSqliteStore({ path: ${JSON.stringify(path)}, clock: Date.now });
    for (let count = 0; count < 100000; count += 1) {
      store.transaction((tx) => {
        tx.keys.putCreatedAt('n/k' + count, count);
        tx.keys.putToken({ id: 't' + count, key: 'n/k' + count, hint: '', createdAtMs: 1, sealed: Buffer.alloc(1) });
      });
      writeSync(1, count + '\\n');
    }`;
}
