import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readKeysOptions } from './keys.ts';

test('keys takes an action and, but for list, a key', () => {
  assert.deepEqual(readKeysOptions(['rotate', 'a/b', '--overlap', '1h'], {}), {
    action: 'rotate',
    key: 'a/b',
    overlap: '1h',
    dataDir: '.keyforge',
    dryRun: false,
    json: false,
  });
  assert.deepEqual(readKeysOptions(['list', '--json'], { KEYFORGE_ADMIN: 'http://127.0.0.1:1' }), {
    action: 'list',
    dataDir: '.keyforge',
    dryRun: false,
    json: true,
    adminUrl: 'http://127.0.0.1:1',
  });
  assert.deepEqual(readKeysOptions(['credit', 'a/b', '--usd', '0.50', '--reason', 'not billed'], {}), {
    action: 'credit',
    key: 'a/b',
    usd: '0.50',
    reason: 'not billed',
    dataDir: '.keyforge',
    dryRun: false,
    json: false,
  });
  assert.ok(!('problems' in readKeysOptions(['credit', 'a/b', '--dry-run'], {})), 'a dry run needs no reason');
  for (const args of [
    [],
    ['drop'],
    ['list', 'a/b'],
    ['revoke'],
    ['revoke', 'bot'],
    ['rotate', 'a/b', 'c'],
    ['revoke', 'a/b', '--overlap', '1h'],
    ['credit', '--reason', 'x'],
    ['credit', 'a/b'],
    ['credit', 'a/b', '--reason', 'x', '--overlap', '1h'],
    ['revoke', 'a/b', '--dry-run'],
    ['rotate', 'a/b', '--usd', '1'],
  ]) {
    const read = readKeysOptions(args, {});
    assert.equal('problems' in read ? read.problems.length : 0, 1, args.join(' '));
  }
});
