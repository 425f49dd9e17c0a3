import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import type { PoolDocument } from '../../core/policy/documents.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';
import { dialects } from '../dialect/table.ts';
import { createPurse, keyDocument, poolDocument, price } from '../line.fixture.ts';
import { foresee } from './foresee.ts';

const spent: GrantDenial = {
  code: 'budget_exhausted',
  limitedBy: 'agents/bot Day',
  message: 'The Day budget is spent',
  availableNano: 0,
  retryAfterSeconds: 600,
};
const fast: GrantDenial = { code: 'rate_limited', limitedBy: 'agents/bot', message: 'Too many requests a minute', availableNano: 9 };

interface Plan {
  readonly length?: number;
  readonly pool?: PoolDocument;
  readonly dialect?: keyof typeof dialects;
}

function codeOf(
  nothingLeft: GrantDenial | undefined,
  { length = 1_000_000, pool = poolDocument(), dialect = 'openai.chat' }: Plan = {},
): string {
  const request = { headers: { 'content-length': String(length) } } as unknown as IncomingMessage;
  const payer = { document: keyDocument(), funds: createPurse(0, nothingLeft === undefined ? {} : { nothingLeft }) };
  return foresee(payer, dialects[dialect], request, new Map([[pool.pool, pool]]))?.code ?? 'read';
}

test('a large body is not read where the ledger said moments ago that nothing is left', () => {
  assert.equal(codeOf(spent), 'budget_exhausted');
  assert.equal(codeOf(fast), 'rate_limited');
  assert.equal(codeOf(undefined), 'read');
});

test('a small body is read: the ledger may have changed its mind', () => {
  assert.equal(codeOf(spent, { length: 1000 }), 'read');
});

test('what costs nothing goes on: free routes, and keys that may use a model of price zero', () => {
  const free = price({}, 0, 0);
  const pool = poolDocument({ book: [{ id: 'free', match: { equals: 'free' }, price: free }] });
  assert.equal(codeOf(spent, { dialect: 'anthropic.count_tokens' }), 'read');
  assert.equal(codeOf(spent, { pool }), 'read');
  assert.equal(codeOf(fast, { pool }), 'rate_limited');
});
