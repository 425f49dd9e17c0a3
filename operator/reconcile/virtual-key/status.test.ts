import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import { keyName } from '../../../core/names.ts';
import type { KeyListing, LimitListing } from '../../keys/desk.ts';
import { keyObject } from '../bench.fixture.ts';
import { readKey } from '../policy/read.ts';
import { type KeyFacts, keyConditions, spendOf } from './status.ts';

const bot = keyName('agents', 'bot');
const team = keyName('agents', 'team');
const specOf = (spec: object): VirtualKeySpec => readKey(keyObject('agents', 'bot', spec)).manifest?.spec as VirtualKeySpec;
const plain = specOf({});

function readyOf(facts: Partial<KeyFacts>) {
  const [ready] = keyConditions({
    ...{ key: bot, verdict: { serving: 'declared', problems: [] }, spec: plain, document: null, path: [{ key: bot, spec: plain }] },
    ...{ end: null, hasToken: true, secretName: 'bot', obstacle: null, isCapped: true, unserved: new Map(), nowMs: 2_000 },
    ...facts,
  });
  return { status: ready?.status, reason: ready?.reason, message: ready?.message ?? '' };
}

test('a key that ended with its ancestor names that, since a later end of its own would change nothing', () => {
  const own = readyOf({ end: { atMs: 1_000 } });
  assert.deepEqual([own.status, own.reason], ['False', 'Expired']);
  assert.match(own.message, /^it expired at .*; set a later spec\.expiresAt, or/);
  const inherited = readyOf({ end: { atMs: 1_000, by: team } });
  assert.deepEqual([inherited.status, inherited.reason], ['False', 'Expired']);
  assert.match(inherited.message, /^its ancestor agents\/team expired at .*; set a later spec\.expiresAt there/);
});

test('a key that only holds a budget says so only while that can be spent', () => {
  const budget = specOf({ issueToken: false });
  const facts = { spec: budget, hasToken: false, path: [{ key: bot, spec: budget }] };
  assert.equal(readyOf(facts).reason, 'BudgetOnly');
  assert.equal(readyOf({ ...facts, end: { atMs: 1_000 } }).reason, 'Expired');
  const suspended = { ...budget, suspended: true };
  assert.equal(readyOf({ ...facts, spec: suspended, path: [{ key: bot, spec: suspended }] }).reason, 'Suspended');
  const below = [
    { key: team, spec: suspended },
    { key: bot, spec: budget },
  ];
  assert.match(readyOf({ ...facts, path: below }).message, /its ancestor agents\/team is suspended/);
});

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
  ...(remainingUsd !== undefined && { remainingUsd }),
  limits,
});

test('all that is shown of spend speaks of one window: the one with the least left, what burned counted', () => {
  const day = limit('Day', { capUsd: '5.00', remainingUsd: '4.00', requestsUsed: 3, requestsCap: 10, endsAt: '2026-01-02T00:00:00.000Z' });
  const month = limit('Month', {
    ...{ key: team, capUsd: '50.00', spentUsd: '10.00', remainingUsd: '2.00', requestsUsed: 70, endsAt: '2026-02-01T00:00:00.000Z' },
  });
  assert.deepEqual(spendOf(listing([month, day], '2.00'), 1), {
    ...{ spent: '10.00', remaining: '2.00', window: 'Month', requestsUsed: 70, windowEndsAt: '2026-02-01T00:00:00.000Z', activeProxies: 1 },
  });
});

test('without a dollar limit the window that counts requests is shown, and without any the whole life', () => {
  const hour = limit('Hour', { requestsUsed: 3, requestsCap: 10, spentUsd: '0.10' });
  assert.deepEqual(spendOf(listing([hour]), 0), { spent: '0.10', window: 'Hour', requestsUsed: 3, activeProxies: 0 });
  assert.deepEqual(spendOf(listing([]), 0), { spent: '9.00', activeProxies: 0 });
});
