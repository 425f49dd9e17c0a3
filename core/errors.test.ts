import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRefusal, refusalTable, refuse } from './errors.ts';

const retriedOnStatusAlone = (status: number): boolean => status === 408 || status === 409 || status === 429 || status >= 500;

describe('refusals', () => {
  it('use a status that no SDK retries if the refusal is final, except for a bad credential of a pool', () => {
    for (const [code, { status, retryable }] of Object.entries(refusalTable)) {
      // 502 says that the fault is not the caller’s; x-should-retry stops the SDKs.
      if (code === 'provider_unauthorized') assert.deepEqual({ status, retryable }, { status: 502, retryable: false });
      else assert.equal(retriedOnStatusAlone(status), retryable, code);
    }
  });

  it('blame the caller with 401 for its own key only', () => {
    const codes = Object.entries(refusalTable).flatMap(([code, { status }]) => (status === 401 ? [code] : []));
    assert.deepEqual(codes, ['invalid_key', 'key_expired', 'key_revoked']);
  });

  it('are values that differ from every other value', () => {
    const refusal = refuse('rate_limited', 'key agents/bot: wait', { retryAfterSeconds: 3 });
    assert.deepEqual(refusal, { kind: 'refusal', code: 'rate_limited', message: 'key agents/bot: wait', retryAfterSeconds: 3 });
    assert.equal(isRefusal(refusal), true);
    for (const other of [null, undefined, 'refusal', 1, [], {}, { kind: 'problem' }, new Error('refusal')])
      assert.equal(isRefusal(other), false);
  });
});
