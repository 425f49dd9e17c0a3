import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../core/names.ts';
import type { LimitListing } from '../keys/listing.ts';
import { NearLimits } from './near-limits.ts';

const team = keyName('agents', 'team');
const bot = keyName('agents', 'bot');
const today = '2026-11-28T00:00:00Z';

function day(key: LimitListing['key'], remainingUsd: string, endsAt = today): LimitListing {
  return { key, window: 'Day', capUsd: '10.00', spentUsd: '0', remainingUsd, requestsUsed: 0, endsAt };
}

test('a limit is named once in its window from 80 % on, however many keys it caps', () => {
  const near = new NearLimits();
  const look = (...rows: readonly (readonly LimitListing[])[]): readonly string[] =>
    near.look(rows.map((limits) => ({ limits }))).map(({ key, window }) => `${key} ${window}`);
  assert.deepEqual(look([day(team, '2.01')], [day(team, '2.01'), day(bot, '9.00')]), []);
  assert.deepEqual(look([day(team, '2.00')], [day(team, '2.00'), day(bot, '9.00')]), ['agents/team Day']);
  assert.deepEqual(look([day(team, '1.00')], [day(team, '1.00'), day(bot, '1.50')]), ['agents/bot Day']);
  // A raised cap, and one that is nearly used again, are the same window.
  assert.deepEqual(look([day(team, '9.00')], [day(bot, '0.00')]), []);
  assert.deepEqual(look([day(team, '1.00')], [day(bot, '0.00')]), []);
  const tomorrow = '2026-11-29T00:00:00Z';
  assert.deepEqual(look([day(team, '10.00', tomorrow)], [day(bot, '1.00', tomorrow)]), ['agents/bot Day']);
  const requests: LimitListing = { key: bot, window: 'Total', requestsCap: 10, requestsUsed: 8, spentUsd: '0' };
  assert.deepEqual(look([day(bot, '1.00', tomorrow), requests]), ['agents/bot Total']);
});
