import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName, poolName } from '../names.ts';
import { describePolicy } from './describe.ts';
import type { KeyDocument } from './documents.ts';

const document: KeyDocument = {
  key: keyName('agents', 'bot'),
  path: [keyName('platform', 'team')],
  owner: { team: 'ml' },
  labels: { project: 'atlas' },
  pools: [poolName('platform', 'openai')],
  models: { allow: [['gpt-*']], deny: ['gpt-4'], aliases: { fast: 'gpt-5.4-mini' } },
  perRequest: {},
  counted: false,
  digest: 'sha256:00',
};

test('the view of a policy shows what applies to the key, in a fixed order, and none of the operator’s own figures', () => {
  assert.equal(
    JSON.stringify(describePolicy({ ...document, smallestCapNano: 5, run: 'Pod web-0' })),
    '{"key":"agents/bot","path":["platform/team"],"digest":"sha256:00","owner":{"team":"ml"},"labels":{"project":"atlas"},' +
      '"pools":["platform/openai"],"models":{"allow":[["gpt-*"]],"deny":["gpt-4"],"aliases":{"fast":"gpt-5.4-mini"}},"perRequest":{}}',
  );
});

test('money is in dollars and an expiry a date', () => {
  const { perRequest, expiresAt, endpoints, suspendedBy, concurrentCalls, delegation } = describePolicy({
    ...document,
    endpoints: ['/v1/messages'],
    perRequest: { usdNano: 500_000_000, outputTokens: 64 },
    expiresAtMs: Date.UTC(2026, 11, 1),
    suspendedBy: document.key,
    concurrentCalls: [{ key: document.key, calls: 8 }],
    delegation: { maxDepth: 1, maxChildren: 2 },
  });
  assert.deepEqual(perRequest, { usd: '0.50', outputTokens: 64 });
  assert.deepEqual([expiresAt, endpoints, suspendedBy], ['2026-12-01T00:00:00.000Z', ['/v1/messages'], document.key]);
  assert.deepEqual(concurrentCalls, [{ key: document.key, calls: 8 }]);
  assert.deepEqual(delegation, { maxDepth: 1, maxChildren: 2 });
});
