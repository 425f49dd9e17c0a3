import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallBody, EpochRecoveredBody, RefusalsBody } from '../../core/audit/types.ts';
import { summarise } from './summary.ts';

function call(more: Partial<CallBody>): CallBody {
  return { type: 'call', code: 'ok', costNanoUsd: '0', ...more } as CallBody;
}

test('a summary has calls, tokens and dollars by model, and what was not ok', () => {
  const usage = { input: 10, cachedInput: 5, cacheWrite: 0, output: 7, reasoning: 2 };
  const text = summarise([
    call({ servedModel: 'gpt-5.4-mini', usage, costNanoUsd: '1500' }),
    call({ servedModel: 'gpt-5.4-mini', usage, costNanoUsd: '1500' }),
    call({ model: 'claude-haiku-4-5', code: 'client_disconnected', usage, costNanoUsd: '7' }),
    call({ model: 'gpt-5.4', code: 'model_denied' }),
  ]);
  assert.equal(
    text,
    [
      'keyforge: 4 calls, $0.000003007',
      '  gpt-5.4-mini: 2 calls, 30 tokens in, 14 out, $0.000003',
      '  claude-haiku-4-5: 1 call, 15 tokens in, 7 out, $0.000000007',
      '  not ok: client_disconnected 1, model_denied 1',
    ].join('\n'),
  );
});

test('refusals that were counted are calls that were not ok, also those of a recovery', () => {
  const counted = { type: 'refusals', code: 'budget_exhausted', count: 3_998 } as RefusalsBody;
  const recovered = {
    type: 'epoch_recovered',
    refusals: [{ code: 'rate_limited', count: 2 }],
    charges: [],
  } as unknown as EpochRecoveredBody;
  assert.equal(
    summarise([call({ code: 'budget_exhausted' }), counted, recovered]),
    'keyforge: 4001 calls, $0.00\n  not ok: budget_exhausted 3999, rate_limited 2',
  );
});

test('a run without calls says so', () => {
  assert.equal(summarise([]), 'keyforge: 0 calls, $0.00');
});
