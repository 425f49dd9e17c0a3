import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAuditOptions } from './audit.ts';

test('audit takes its folder and its filter from flags or environment', () => {
  const environment = { KEYFORGE_DATA: '/d', KEYFORGE_KEY: 'a/b', KEYFORGE_JSON: 'true' };
  assert.deepEqual(readAuditOptions(['verify'], environment), { verb: 'verify', dataDir: '/d', json: false });
  assert.deepEqual(readAuditOptions(['tail', '--data', '/e'], environment), { verb: 'tail', dataDir: '/e', json: true, key: 'a/b' });
});
