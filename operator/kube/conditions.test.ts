import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Condition, setCondition } from './conditions.ts';

const ready = { type: 'Ready', status: 'True', reason: 'Served', message: 'all is well', observedGeneration: 1 } as const;
const capped = { type: 'Capped', status: 'True', reason: 'Limits', message: '5 USD a day' } as const;
const one = '2026-01-01T00:00:00Z';
const two = '2026-01-02T00:00:00Z';

test('a change of status moves lastTransitionTime, a change of anything else does not', () => {
  const first = setCondition([], ready, one);
  const second = setCondition(first, { ...ready, reason: 'Other', observedGeneration: 2 }, two);
  assert.deepEqual(second, [{ ...ready, reason: 'Other', observedGeneration: 2, lastTransitionTime: one }]);
  assert.equal(setCondition(second, { ...ready, status: 'False' }, two)[0]?.lastTransitionTime, two);
});

test('what changes nothing gives the same array back', () => {
  const conditions = setCondition(setCondition([], ready, one), capped, one);
  assert.equal(setCondition(conditions, ready, two), conditions);
  assert.equal(setCondition(conditions, capped, two), conditions);
});

test('Ready comes first, the others by type, however they were set', () => {
  const types = (conditions: readonly Condition[]) => conditions.map(({ type }) => type);
  const synced = { ...capped, type: 'Synced' };
  const orders = [
    [ready, capped, synced],
    [synced, capped, ready],
    [capped, ready, synced],
  ];
  for (const order of orders) {
    const conditions = order.reduce<readonly Condition[]>((set, next) => setCondition(set, next, one), []);
    assert.deepEqual(types(conditions), ['Ready', 'Capped', 'Synced']);
  }
});

test('a message is cut to what the API server takes, in whole characters, and then changes nothing', () => {
  const long = { ...ready, message: `${'x'.repeat(32_766)}\u{1f511}\u{1f511}` };
  const conditions = setCondition([], long, one);
  const message = conditions[0]?.message ?? '';
  assert.ok(message.length <= 32_768 && message.endsWith('…') && message.isWellFormed());
  assert.equal(setCondition(conditions, long, two), conditions);
});
