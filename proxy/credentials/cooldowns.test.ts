import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyLimit, createQuotaScope, usableAtMs } from './cooldowns.ts';

test('callers who name many models that a provider limits fill no memory, and limits that are over go first', () => {
  const scope = createQuotaScope('org');
  const limit = (model: string, untilMs: number, nowMs = 0): void =>
    applyLimit(scope, { kind: 'cooldown', untilMs, model: true, code: 'rate_limit_exceeded' }, { model, nowMs });
  limit('gone soon', 10);
  for (let n = 0; n < 10_000; n += 1) limit(`made-up-${n}`, 86_400_000, 20);
  assert.equal(scope.modelsUntilMs.size, 256);
  assert.equal(usableAtMs(scope, 'gone soon'), 0);
  assert.equal(usableAtMs(scope, 'made-up-9999'), 86_400_000);
  limit('other', 90_000_000, 86_400_000);
  assert.equal(scope.modelsUntilMs.size, 1);
});
