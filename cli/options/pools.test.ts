import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPoolsOptions } from './pools.ts';

test('what bills taught is listed, or acknowledged for one pool with a reason', () => {
  const common = { dataDir: '.keyforge', json: false };
  assert.deepEqual(readPoolsOptions(['list'], {}), { action: 'list', ...common });
  const args = ['acknowledge', 'sys/openai', '--model', 'gpt-5.4', '--feature', 'audio', '--reason', 'corrected'];
  assert.deepEqual(readPoolsOptions(args, {}), {
    ...{ action: 'acknowledge', pool: 'sys/openai', model: 'gpt-5.4', feature: 'audio', reason: 'corrected' },
    ...common,
  });
  const wrong = [
    [],
    ['take'],
    ['list', 'sys/openai'],
    ['acknowledge', 'sys/openai'],
    ['acknowledge', 'openai', '--reason', 'x'],
    ['list', '--admin', 'x'],
  ];
  for (const words of wrong) {
    const read = readPoolsOptions(words, {});
    assert.equal('problems' in read ? read.problems.length : 0, 1, words.join(' '));
  }
});
