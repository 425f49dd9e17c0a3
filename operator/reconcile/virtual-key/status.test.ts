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

function readyOf(facts: Partial<KeyFacts>) {
  const [ready] = keyConditions({
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
    nowMs: 2_000,
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
