import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPricesOptions } from './prices.ts';

test('prices are listed, or acknowledged for a provider or one of its models, whose name may have slashes', () => {
  const common = { dataDir: '.keyforge', json: false };
  assert.deepEqual(readPricesOptions(['list'], {}), { action: 'list', ...common });
  assert.deepEqual(readPricesOptions(['acknowledge', 'OpenAI'], {}), { action: 'acknowledge', provider: 'OpenAI', ...common });
  assert.deepEqual(readPricesOptions(['acknowledge', 'OpenRouter/deepseek/deepseek-r1', '--json'], { KEYFORGE_DATA: '/d' }), {
    action: 'acknowledge',
    provider: 'OpenRouter',
    model: 'deepseek/deepseek-r1',
    dataDir: '/d',
    json: true,
  });
  for (const args of [[], ['take'], ['list', 'OpenAI'], ['acknowledge'], ['acknowledge', 'a', 'b'], ['list', '--admin', 'x']]) {
    const read = readPricesOptions(args, {});
    assert.equal('problems' in read ? read.problems.length : 0, 1, args.join(' '));
  }
});
