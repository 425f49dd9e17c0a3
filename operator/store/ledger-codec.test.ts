import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Account } from '../../core/budget/account.ts';
import { type GrantId, keyName } from '../../core/names.ts';
import { type GrantState, readAccount, readGrant, writeAccount, writeGrant } from './ledger-codec.ts';

const one = { nano: 1, requests: 2, tokens: 3 };
const two = { nano: 4, requests: 5, tokens: 6 };
const three = { nano: 7, requests: 8, tokens: 9 };

const accounts: readonly (readonly [Account, string])[] = [
  [{ settled: one, burned: two, outstanding: three, holders: 1 }, '{"s":[1,2,3],"b":[4,5,6],"o":[7,8,9],"h":1}'],
  [
    { settled: one, burned: two, outstanding: three, holders: 0, tokensPerMinute: 500 },
    '{"s":[1,2,3],"b":[4,5,6],"o":[7,8,9],"h":0,"r":500}',
  ],
];

const grants: readonly (readonly [GrantState, string])[] = [
  [{ amount: { nano: 10 }, settled: one, burned: two }, '{"a":[10,null,null],"s":[1,2,3],"b":[4,5,6]}'],
  [
    {
      amount: { nano: 10, requests: 0, tokens: 12 },
      settled: one,
      burned: two,
      endMs: 99,
      escrow: 'incarnation.ab' as GrantId,
      escrowFor: keyName('agents', 'bot.kid'),
      recovered: true,
    },
    '{"a":[10,0,12],"s":[1,2,3],"b":[4,5,6],"u":99,"e":"incarnation.ab","c":"agents/bot.kid","x":1}',
  ],
];

test('the bytes of accounts and grants are those that stores of this schema version hold', () => {
  for (const [account, text] of accounts) assert.equal(writeAccount(account), text);
  for (const [grant, text] of grants) assert.equal(writeGrant(grant), text);
});

test('an account or grant is read as it was written', () => {
  for (const [account, text] of accounts) assert.deepEqual(readAccount(text), account);
  for (const [grant, text] of grants) assert.deepEqual(readGrant(text), grant);
});
