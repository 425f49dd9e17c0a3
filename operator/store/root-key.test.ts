import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadRootKey, RootKeyError, readRootKey } from './root-key.ts';

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-root-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'root.key');
}

test('a root key is made once, for its owner alone, and stays the same', (t) => {
  const path = place(t);
  const key = loadRootKey(path, randomBytes);
  assert.equal(key.length, 32);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(loadRootKey(path, randomBytes), key);
  assert.deepEqual(readRootKey(path), key);
  assert.deepEqual(readdirSync(join(path, '..')), ['root.key']);
});

test('of two who make it at the same time both get the same', (t) => {
  const path = place(t);
  let inner: Buffer | null = null;
  const outer = loadRootKey(path, (size) => {
    inner ??= size === 32 ? loadRootKey(path, randomBytes) : null;
    return randomBytes(size);
  });
  assert.deepEqual(outer, inner);
});

test('a root key that others can read, that is cut short, or that is missing is refused with what to do', (t) => {
  const path = place(t);
  assert.throws(() => readRootKey(path), RootKeyError);
  loadRootKey(path, randomBytes);
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(path, mode);
    assert.throws(() => loadRootKey(path, randomBytes), /chmod 600/);
  }
  chmodSync(path, 0o600);
  writeFileSync(path, randomBytes(31));
  assert.throws(() => loadRootKey(path, randomBytes), /31 bytes instead of 32/);
});
