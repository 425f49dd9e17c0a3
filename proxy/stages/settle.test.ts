import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Demand } from '../../core/price/demand.ts';
import type { Usage } from '../../core/price/types.ts';
import { demand, price, usage } from '../line.fixture.ts';
import { asBilled, boundOfOutput, type CallEnd, type Settlement, settle, tokensOf } from './settle.ts';

const bound = 1000;
const used = usage(100, 50);
const overflowing = usage(Number.MAX_SAFE_INTEGER, 1);

interface Row {
  readonly of: string;
  readonly kind: Exclude<CallEnd['kind'], 'streamed'>;
  readonly usage: Usage | null;
  readonly priced: 'priced' | 'unpriced';
  readonly is: Settlement;
}

const rows: readonly Row[] = [
  { of: 'a call never sent is free', kind: 'free', usage: null, priced: 'priced', is: { costNano: 0, usage: null, estimated: false } },
  {
    of: 'what a refusal claims to have used',
    kind: 'free',
    usage: used,
    priced: 'priced',
    is: { costNano: 0, usage: null, estimated: false },
  },
  { of: 'a whole answer', kind: 'measured', usage: used, priced: 'priced', is: { costNano: 200, usage: used, estimated: false } },
  {
    of: 'an answer of nothing',
    kind: 'measured',
    usage: usage(0, 0),
    priced: 'priced',
    is: { costNano: 0, usage: usage(0, 0), estimated: false },
  },
  { of: 'an answer without usage', kind: 'measured', usage: null, priced: 'priced', is: { costNano: bound, usage: null, estimated: true } },
  { of: 'an interrupted call', kind: 'unknown', usage: null, priced: 'priced', is: { costNano: bound, usage: null, estimated: true } },
  {
    of: 'usage so far of an interrupted call',
    kind: 'unknown',
    usage: used,
    priced: 'priced',
    is: { costNano: bound, usage: used, estimated: true },
  },
  { of: 'an unpriced answer', kind: 'measured', usage: used, priced: 'unpriced', is: { costNano: 0, usage: used, estimated: false } },
  {
    of: 'an interrupted unpriced call',
    kind: 'unknown',
    usage: null,
    priced: 'unpriced',
    is: { costNano: 0, usage: null, estimated: true },
  },
  {
    of: 'a cost past all money',
    kind: 'measured',
    usage: overflowing,
    priced: 'priced',
    is: { costNano: bound, usage: overflowing, estimated: true },
  },
];

for (const row of rows) {
  test(`${row.of} costs ${row.is.costNano}${row.is.estimated ? ', estimated' : ''}`, () => {
    const settled = settle({ kind: row.kind, reading: { usage: row.usage } }, row.priced === 'priced' ? price() : null, bound);
    assert.deepEqual(settled, row.is);
  });
}

test('a cost beyond the bound is charged in full', () => {
  assert.equal(settle({ kind: 'measured', reading: { usage: usage(0, 5000) } }, price(), bound).costNano, 10_000);
});

test('the per-minute rate counts every token in and out once, reasoning as part of output', () => {
  assert.equal(tokensOf(usage(100, 50, { cachedInput: 7, cacheWrite: 3, reasoning: 20 })), 160);
  assert.equal(tokensOf(null), 0);
});

test('a provider that names more tokens than can be counted charges the rate nothing', () => {
  assert.equal(tokensOf(overflowing), 0);
});

test('a hosted session that the answer shows costs nothing where the request has no fee for it', () => {
  const reading = { usage: usage(100, 50, { fees: { webSearch: 2, container: 1 } }) };
  const shown: CallEnd = { kind: 'measured', reading };
  const fees = (more: Demand['fees']): unknown => asBilled(shown, demand(100, { fees: more }), {}).reading.usage?.fees;
  assert.deepEqual(fees({}), { webSearch: 2 });
  assert.deepEqual(fees({ container: 0 }), { webSearch: 2 });
  assert.deepEqual(fees({ container: 1 }), { webSearch: 2, container: 1 });
  assert.deepEqual(fees({ container: null }), { webSearch: 2, container: 1 });
});

test('a provider that chooses its host names what the call cost; the figure of another server is not its bill', () => {
  const shown: CallEnd = { kind: 'measured', reading: { usage: usage(100, 50), namedCostNano: 7 } };
  const cost = (provider: { readonly choosesHost?: true }): number =>
    settle(asBilled(shown, demand(100), provider), price(), bound).costNano;
  assert.equal(cost({ choosesHost: true }), 7);
  assert.equal(cost({}), 200);
});

test('a stream without usage costs the bound of what has streamed, but never above the reservation', () => {
  const streamed = { kind: 'streamed', reading: { usage: null }, outputTokens: 100 } as const;
  const boundOf = boundOfOutput({ price: price(), overhead: { tokens: { request: 7 }, pictureTokens: () => 0 } }, demand(30));
  assert.deepEqual(settle(streamed, price(), bound, boundOf), { costNano: 237, usage: null, estimated: true });
  for (const outputTokens of [5000, Number.POSITIVE_INFINITY])
    assert.equal(settle({ ...streamed, outputTokens }, price(), bound, boundOf).costNano, bound);
  assert.equal(settle({ ...streamed, reading: { usage: usage(0, 400) } }, price(), bound, boundOf).costNano, 800);
  const unbounded = boundOfOutput({ price: price(), overhead: { tokens: {}, pictureTokens: () => 0 } }, demand(30, { unmeterable: 'no' }));
  assert.equal(settle(streamed, price(), bound, unbounded).costNano, bound);
  assert.deepEqual(settle(streamed, null, bound, boundOf), { costNano: 0, usage: null, estimated: true });
});
