import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defined } from '../../../core/json.ts';
import { keyName } from '../../../core/names.ts';
import { type KeyListing, type LimitListing, nearLimit } from '../../keys/listing.ts';
import { SpendBook, spendOf } from './spend.ts';

const left = (name: string, remainingUsd: string): KeyListing => ({
  namespace: 'agents',
  name,
  state: 'active',
  spentUsd: '0.00',
  remainingUsd,
  limits: [],
});

test('a key that is newer than the last listing is not reported as uncapped', () => {
  const rows = [left('old', '5.00')];
  const book = new SpendBook({ list: () => [...rows], activeProxies: () => new Map() }, 30_000, () => 1_000);
  assert.equal(book.show(keyName('agents', 'old')).isCapped, true);
  rows.push(left('new', '5.00'));
  book.renew();
  const { isCapped, spend } = book.show(keyName('agents', 'new'));
  assert.deepEqual([isCapped, spend.remaining], [true, '5.00']);
});

test('what is spent changes what is shown once each refresh, a limit that is taken away does at once', () => {
  let rows = [left('bot', '5.00')];
  let nowMs = 0;
  const key = keyName('agents', 'bot');
  const book = new SpendBook({ list: () => rows, activeProxies: () => new Map() }, 30_000, () => nowMs);
  const remaining = () => book.show(key).spend.remaining;
  assert.equal(remaining(), '5.00');
  rows = [left('bot', '4.00')];
  nowMs = 10_000;
  assert.equal(remaining(), '5.00');
  nowMs = 29_999;
  assert.equal(remaining(), '5.00');
  assert.deepEqual(book.takeDue(), [key]);
  assert.equal(remaining(), '4.00');
  assert.deepEqual(book.takeDue(), []);
  rows = [{ namespace: 'agents', name: 'bot', state: 'active', spentUsd: '1.00', limits: [] }];
  nowMs = 32_000;
  assert.equal(remaining(), undefined);
});

const bot = keyName('agents', 'bot');
const team = keyName('agents', 'team');

const limit = (window: string, rest: Partial<LimitListing>): LimitListing => ({
  key: bot,
  window,
  spentUsd: '1.00',
  requestsUsed: 0,
  ...rest,
});
const listing = (limits: readonly LimitListing[], remainingUsd?: string): KeyListing => ({
  namespace: 'agents',
  name: 'bot',
  state: 'active',
  spentUsd: '9.00',
  ...defined({ remainingUsd }),
  limits,
});

test('all that is shown of spend is of one window: the one with the least left, what burned counted', () => {
  const day = limit('Day', { capUsd: '5.00', remainingUsd: '4.00', requestsUsed: 3, requestsCap: 10, endsAt: '2026-01-02T00:00:00.000Z' });
  const month = limit('Month', {
    key: team,
    capUsd: '50.00',
    spentUsd: '10.00',
    remainingUsd: '2.00',
    requestsUsed: 70,
    endsAt: '2026-02-01T00:00:00.000Z',
  });
  assert.deepEqual(spendOf(listing([month, day], '2.00'), 1), {
    spent: '10.00',
    remaining: '2.00',
    window: 'Month',
    requestsUsed: 70,
    windowEndsAt: '2026-02-01T00:00:00.000Z',
    activeProxies: 1,
  });
});

test('without a dollar limit the window that counts requests is shown, and without any the whole life', () => {
  const hour = limit('Hour', { requestsUsed: 3, requestsCap: 10, spentUsd: '0.10' });
  assert.deepEqual(spendOf(listing([hour]), 0), { spent: '0.10', window: 'Hour', requestsUsed: 3, activeProxies: 0 });
  assert.deepEqual(spendOf(listing([]), 0), { spent: '9.00', activeProxies: 0 });
});

test('the limit of which most is used is near from 80 % on, in dollars or requests; a closed door is none', () => {
  const near = (...limits: readonly Partial<LimitListing>[]) =>
    nearLimit({ limits: limits.map((each) => limit(each.window ?? 'Day', each)) })?.window;
  assert.equal(near(), undefined);
  assert.equal(near({ capUsd: '10.00', remainingUsd: '2.01' }), undefined);
  assert.equal(near({ capUsd: '10.00', remainingUsd: '2.00' }), 'Day');
  assert.equal(near({ requestsCap: 10, requestsUsed: 7 }), undefined);
  assert.equal(near({ requestsCap: 10, requestsUsed: 8 }), 'Day');
  assert.equal(near({ capUsd: '0.00', remainingUsd: '0.00' }), undefined);
  const month = { window: 'Month', capUsd: '100.00', remainingUsd: '5.00' };
  assert.equal(near({ capUsd: '10.00', remainingUsd: '1.00' }, month), 'Month');
});
