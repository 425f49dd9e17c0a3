import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RefusalCode, refusalTable } from '../../core/errors.ts';
import type { TokenId } from '../../core/names.ts';
import { RefusalGroups, type RefusedCall } from './refusal-groups.ts';

const minute = Date.UTC(2026, 10, 20);
const refused: RefusedCall = {
  code: 'budget_exhausted',
  endpoint: '/v1/chat/completions',
  model: 'gpt-5.4-mini',
  tokenId: 'aa' as TokenId,
};

function groups(of: RefusalGroups): ReturnType<typeof Array<unknown>> {
  return [...of.all()].map(({ group }) => group);
}

test('the first refusal of a code, endpoint and token in a minute is not counted, and all further ones are', () => {
  const counted = new RefusalGroups();
  assert.equal(counted.count(refused, minute), false);
  assert.equal(counted.count(refused, minute + 1), true);
  assert.equal(counted.count(refused, minute + 59_999), true);
  for (const other of [{ code: 'rate_limited' }, { endpoint: '/v1/responses' }, { tokenId: 'bb' }] as Partial<RefusedCall>[]) {
    assert.equal(counted.count({ ...refused, ...other }, minute), false, JSON.stringify(other));
  }
  const from = '2026-11-20T00:00:00.001Z';
  const to = '2026-11-20T00:00:59.999Z';
  assert.deepEqual(groups(counted), [{ ...refused, count: 2, from, to }]);
});

test('refusals of several models are grouped by model, without an entry for the first of each', () => {
  const counted = new RefusalGroups();
  const { model: _, ...unread } = refused;
  assert.deepEqual(
    [refused, refused, { ...refused, model: 'other' }, { ...refused, model: 'other' }, unread].map((each) => counted.count(each, minute)),
    [false, true, true, true, true],
  );
  assert.deepEqual(
    [...counted.all()].map(({ group }) => [group.model, group.count]),
    [
      ['gpt-5.4-mini', 1],
      ['other', 2],
      [undefined, 1],
    ],
  );
});

test('the minute turns: groups of the one before are over, and the first of each kind is one again', () => {
  const counted = new RefusalGroups();
  counted.count(refused, minute);
  assert.equal(counted.isOver(minute + 60_000), false, 'nothing was grouped');
  counted.count(refused, minute);
  assert.equal(counted.isOver(minute + 59_999), false);
  assert.equal(counted.isOver(minute + 60_000), true);
  assert.equal(counted.isOver(minute - 1), true, 'the clock was set back');
  for (const { id } of counted.all()) counted.drop(id);
  assert.deepEqual([counted.size, counted.isOver(minute + 60_000)], [0, false]);
  assert.equal(counted.count(refused, minute + 60_000), false);
  assert.equal(counted.count(refused, minute + 60_000), true);
});

test('a clock that is set back does not make a group end before it begins', () => {
  const counted = new RefusalGroups();
  for (const at of [30_000, 40_000, 20_000]) counted.count(refused, minute + at);
  assert.deepEqual(
    [...counted.all()].map(({ group }) => [group.from, group.to]),
    [['2026-11-20T00:00:40.000Z', '2026-11-20T00:00:40.000Z']],
  );
});

test('beyond 256 groups, refusals are grouped by code alone, and none is lost', () => {
  const counted = new RefusalGroups();
  const codes = Object.keys(refusalTable) as RefusalCode[];
  let refusals = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const code = codes[i % codes.length] ?? 'not_found';
    refusals += Number(counted.count({ ...refused, code, model: `m-${i}` }, minute));
  }
  const all = [...counted.all()].map(({ group }) => group);
  const collapsed = all.filter(({ endpoint }) => endpoint === 'other');
  assert.equal(all.length - collapsed.length, 256);
  assert.deepEqual(new Set(collapsed.map(({ code }) => code)), new Set(codes));
  assert.equal(collapsed.length, codes.length);
  assert.ok(collapsed.every(({ model, tokenId }) => model === undefined && tokenId === undefined));
  assert.equal(
    all.reduce((sum, { count }) => sum + count, 0),
    refusals,
  );
  assert.equal(refusals, 20_000 - codes.length);
});

test('at most 256 refusals of a minute have an entry each, whatever tokens and endpoints there are', () => {
  const counted = new RefusalGroups();
  const alone = Array.from({ length: 2_000 }, (_, i) => counted.count({ ...refused, tokenId: String(i) as TokenId }, minute));
  assert.equal(alone.filter((isCounted) => !isCounted).length, 256);
  assert.deepEqual(groups(counted), [
    {
      ...{ code: 'budget_exhausted', count: 2_000 - 256, endpoint: 'other', model: undefined, tokenId: undefined },
      ...{ from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T00:00:00.000Z' },
    },
  ]);
});

test('a group is written again only after it has counted more', () => {
  const counted = new RefusalGroups();
  counted.count(refused, minute);
  counted.count(refused, minute);
  const changed = () => [...counted.changed()].map(({ group }) => group.count);
  for (const _ of counted.changed()) break; // the spool could not take it
  assert.deepEqual(changed(), [1]);
  assert.deepEqual(changed(), []);
  counted.count(refused, minute);
  assert.deepEqual(changed(), [2]);
});

test('a first refusal without an entry leaves the next one to be the first', () => {
  const counted = new RefusalGroups();
  assert.equal(counted.count(refused, minute), false);
  counted.forget(refused);
  assert.equal(counted.count(refused, minute), false);
  assert.equal(counted.size, 0);
});
