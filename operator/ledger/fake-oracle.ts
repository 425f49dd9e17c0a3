import assert from 'node:assert/strict';
import type { PaidFrom } from '../../core/audit/types.ts';
import { type Account, committed } from '../../core/budget/account.ts';
import { windowAccountsAt } from '../../core/budget/window-account.ts';
import type { KeyName } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { World } from './fake-world.ts';
import { ledgerOf } from './tx-ledger.ts';
import { spent } from './view.ts';

interface Sum {
  readonly nano: number;
  readonly requests: number;
}

interface Oracle {
  /** Sets the caps from now on. If one is lowered, what was committed then stays allowed. */
  capsAre(plans: readonly AccountPlan[], world: World): void;
  providerBills(accounts: readonly string[], nano: number): void;
  /** Notes an entry that arrived at the ledger. */
  recorded(path: readonly KeyName[], paid: readonly PaidFrom[]): void;
  /** Throws if I1 is violated or a bill is not covered. */
  check(world: World): void;
  /** Throws if the reported spend is not the sum of entries, or something is still held. */
  checkEnd(world: World): void;
}

/** Checks from the outside: the caps that were set, what the provider billed, what was recorded. */
export function createOracle(): Oracle {
  const allowed = new Map<string, Sum>();
  const highest = new Map<string, Sum>();
  const billed = new Map<string, Sum>();
  const recorded = new Map<KeyName, number>();
  return {
    capsAre: (plans: readonly AccountPlan[], world: World) =>
      world.store.transaction((tx) => {
        for (const account of plans.flatMap((plan) => windowAccountsAt(plan, tx.now()))) {
          const found = ledgerOf(tx).account(account.id);
          const now = found === null ? { nano: 0, requests: 0 } : committed(found);
          const cap = { nano: account.cap.nano ?? Number.MAX_SAFE_INTEGER, requests: account.cap.requests ?? Number.MAX_SAFE_INTEGER };
          allowed.set(account.id, { nano: Math.max(cap.nano, now.nano), requests: Math.max(cap.requests, now.requests) });
          const before = highest.get(account.id) ?? cap;
          highest.set(account.id, { nano: Math.max(cap.nano, before.nano), requests: Math.max(cap.requests, before.requests) });
        }
      }),
    providerBills: (ids: readonly string[], nano: number) => {
      for (const id of ids) {
        const before = billed.get(id) ?? { nano: 0, requests: 0 };
        billed.set(id, { nano: before.nano + nano, requests: before.requests + 1 });
      }
    },
    recorded: (path: readonly KeyName[], paid: readonly PaidFrom[]) => {
      const cost = paid.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
      for (const key of path) recorded.set(key, (recorded.get(key) ?? 0) + cost);
    },
    check: (world: World) =>
      world.store.transaction((tx) => {
        for (const [id, cap] of allowed) checkAccount(id, ledgerOf(tx).account(id), cap);
        for (const [id, bill] of billed) checkBill(id, ledgerOf(tx).account(id), bill, highest.get(id));
      }),
    checkEnd: (world: World) =>
      world.store.transaction((tx) => {
        for (const [key, cost] of recorded) assert.equal(spent(tx, key), cost, `spend of ${key} is the sum of its entries`);
        for (const id of allowed.keys()) {
          const account = ledgerOf(tx).account(id);
          assert.ok(account === null || (account.outstanding.nano === 0 && account.holders === 0), `${id} still holds something`);
        }
      }),
  };
}

function checkAccount(id: string, account: Account | null, cap: Sum): void {
  if (account === null) return;
  const sum = committed(account);
  assert.ok(sum.nano <= cap.nano && sum.requests <= cap.requests, `I1: ${id} has ${JSON.stringify(account)}, may have ${cap.nano}`);
  for (const part of [account.settled, account.burned, account.outstanding]) {
    assert.ok(part.nano >= 0 && part.requests >= 0 && part.tokens >= 0, `${id} below zero: ${JSON.stringify(account)}`);
  }
}

/** Checks that a bill is within the cap, and that the account counts it as settled, burned or outstanding. */
function checkBill(id: string, account: Account | null, bill: Sum, cap: Sum | undefined): void {
  assert.ok(account && cap && bill.nano <= cap.nano && bill.requests <= cap.requests, `${id} was billed ${JSON.stringify(bill)}`);
  const covered = committed(account);
  assert.ok(bill.nano <= covered.nano, `${id} does not cover its bill`);
  // Requests are held in advance only if they are limited.
  assert.ok(cap.requests === Number.MAX_SAFE_INTEGER || bill.requests <= covered.requests, `${id} does not cover its calls`);
}
