import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../../core/names.ts';
import type { KeyListing } from '../../keys/desk.ts';
import { createSpendBook } from './spend.ts';

const listing = (name: string, remainingUsd: string): KeyListing => ({
  namespace: 'agents',
  name,
  state: 'active',
  spentUsd: '0.00',
  remainingUsd,
  limits: [],
});

test('a key that came after the last listing is not called uncapped', () => {
  const rows = [listing('old', '5.00')];
  const book = createSpendBook({ list: () => [...rows], activeProxies: () => new Map() }, 30_000, () => 1_000);
  assert.equal(book.shown(keyName('agents', 'old')).isCapped, true);
  rows.push(listing('new', '5.00'));
  book.renew();
  const { isCapped, spend } = book.shown(keyName('agents', 'new'));
  assert.deepEqual([isCapped, spend.remaining], [true, '5.00']);
});

test('what is spent changes what is shown once each refresh, a limit that is taken away does at once', () => {
  let rows = [listing('bot', '5.00')];
  let nowMs = 0;
  const key = keyName('agents', 'bot');
  const book = createSpendBook({ list: () => rows, activeProxies: () => new Map() }, 30_000, () => nowMs);
  const remaining = () => book.shown(key).spend.remaining;
  assert.equal(remaining(), '5.00');
  rows = [listing('bot', '4.00')];
  nowMs = 10_000;
  assert.equal(remaining(), '5.00');
  nowMs = 29_999;
  assert.equal(remaining(), '5.00');
  assert.deepEqual(book.due(), [key]);
  assert.equal(remaining(), '4.00');
  assert.deepEqual(book.due(), []);
  rows = [{ namespace: 'agents', name: 'bot', state: 'active', spentUsd: '1.00', limits: [] }];
  nowMs = 32_000;
  assert.equal(remaining(), undefined);
});
