import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../names.ts';
import { windowAccountsAt } from './window-account.ts';

const key = keyName('agents', 'bot');
const now = Date.parse('2026-11-21T02:00:30Z');

function ids(node: Omit<Parameters<typeof windowAccountsAt>[0]['nodes'][number], 'key'>): readonly string[] {
  return windowAccountsAt({ key, path: [key], nodes: [{ key, ...node }] }, now).map(({ id }) => id);
}

test('a key without limits still has a Total account, so that its spend is known', () => {
  assert.deepEqual(ids({ limits: [], rate: {} }), ['agents/bot|Total|1970-01-01T00:00:00.000Z']);
});

test('each limit has the account of its window in its own zone, a rate that of the minute', () => {
  const limits = [
    { window: 'Day', usdNano: 1, timeZone: 'America/New_York' },
    { window: 'Total', usdNano: 5, timeZone: 'Etc/UTC' },
  ] as const;
  assert.deepEqual(ids({ limits, rate: { requestsPerMinute: 1 } }), [
    'agents/bot|Day|2026-11-20T05:00:00.000Z',
    'agents/bot|Total|1970-01-01T00:00:00.000Z',
    'agents/bot|Minute|2026-11-21T02:00:00.000Z',
  ]);
});
