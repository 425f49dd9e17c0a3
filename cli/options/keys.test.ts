import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readKeysOptions } from './keys.ts';

test('keys takes an action and, but for list, a key', () => {
  assert.deepEqual(readKeysOptions(['rotate', 'a/b', '--overlap', '1h'], {}), {
    action: 'rotate',
    key: 'a/b',
    overlap: '1h',
    dataDir: '.keyforge',
    json: false,
  });
  assert.deepEqual(readKeysOptions(['list', '--json'], { KEYFORGE_ADMIN: 'http://127.0.0.1:1' }), {
    action: 'list',
    dataDir: '.keyforge',
    json: true,
    adminUrl: 'http://127.0.0.1:1',
  });
  for (const args of [
    [],
    ['drop'],
    ['list', 'a/b'],
    ['revoke'],
    ['revoke', 'bot'],
    ['rotate', 'a/b', 'c'],
    ['revoke', 'a/b', '--overlap', '1h'],
  ]) {
    const read = readKeysOptions(args, {});
    assert.equal('problems' in read ? read.problems.length : 0, 1, args.join(' '));
  }
});
