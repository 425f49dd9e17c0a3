import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import { keyName } from '../../../core/names.ts';
import { keyObject } from '../bench.fixture.ts';
import { readKey } from '../policy/read.ts';
import { type KeyFacts, keyConditions } from './status.ts';

const bot = keyName('agents', 'bot');
const team = keyName('agents', 'team');
const specOf = (spec: object): VirtualKeySpec => readKey(keyObject('agents', 'bot', spec)).manifest?.spec as VirtualKeySpec;
const plain = specOf({});

function conditionsOf(facts: Partial<KeyFacts>) {
  return keyConditions({
    key: bot,
    verdict: { serving: 'declared', problems: [] },
    spec: plain,
    document: null,
    path: [{ key: bot, spec: plain }],
    end: null,
    hasToken: true,
    secretName: 'bot',
    obstacle: null,
    isCapped: true,
    near: null,
    nowMs: 2_000,
    ...facts,
  });
}

function readyOf(facts: Partial<KeyFacts>) {
  const [ready] = conditionsOf(facts);
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

test('a limit that is nearly used up is named before it ends, with a reason of its own if it is an ancestor’s', () => {
  const nearOf = (facts: Partial<KeyFacts>) => conditionsOf(facts).find(({ type }) => type === 'NearLimit');
  const near = { key: bot, window: 'Day', capUsd: '10.00', spentUsd: '8.10', remainingUsd: '1.90', requestsUsed: 0 };
  assert.deepEqual([nearOf({})?.status, nearOf({})?.reason], ['False', 'EnoughLeft']);
  const own = nearOf({ near: { ...near, endsAt: '2026-11-28T00:00:00.000Z' } });
  assert.deepEqual([own?.status, own?.reason], ['True', 'LimitNear']);
  assert.match(own?.message ?? '', /^at least 80 % of the Day limit of agents\/bot is used\. It ends at 2026-11-28/);
  const inherited = nearOf({ near: { ...near, key: team } });
  assert.equal(inherited?.reason, 'AncestorLimitNear');
  assert.match(inherited?.message ?? '', /agents\/team is used; raise it in spec\.limits there/);
  assert.equal(nearOf({ near, verdict: { serving: 'nothing', problems: [] } })?.status, 'Unknown');
});
