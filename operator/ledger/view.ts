import { type Account, type Amounts, committed, nothing, openAccount, plus } from '../../core/budget/account.ts';
import type { EscrowLimit } from '../../core/budget/account-limit.ts';
import type { Denial } from '../../core/budget/denial.ts';
import { leftOf } from '../../core/budget/grant.ts';
import type { Ledger } from '../../core/budget/ledger.ts';
import { totalOf, type WindowAccount, windowAccountsAt } from '../../core/budget/window-account.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { AccountView } from '../../core/protocol/money.ts';
import type { Tx } from '../store/types.ts';
import { escrowOf } from './escrow.ts';
import { ledgerOf } from './tx-ledger.ts';

/** The current figures of every account on a key's path, root first, without the per-minute rates. */
export function view(tx: Tx, plan: AccountPlan): AccountView {
  const ledger = ledgerOf(tx);
  const escrow = openEscrow(ledger, plan, tx.now());
  const accounts = windowAccountsAt(plan, tx.now()).filter(({ window }) => window !== 'Minute');
  return { key: plan.key, accounts: accounts.map((account) => viewOf(ledger, account, escrow)) };
}

/** What a key has spent in its life, according to the stored entries. */
export function spent(tx: Tx, key: KeyName): NanoUsd {
  const ledger = ledgerOf(tx);
  const id = totalOf(key);
  return settledOf(ledger, id, ledger.account(id)).nano;
}

/** The keys to recall from: their proxies hold unspent what a denial lacks (money, requests or a share of a rate). */
export function recallTargets(tx: Tx, plan: AccountPlan, { code, limitedBy }: Pick<Denial, 'code' | 'limitedBy'>): readonly KeyName[] {
  if (typeof limitedBy === 'string' || (code !== 'budget_reserved' && code !== 'rate_limited')) return [];
  const account = windowAccountsAt(plan, tx.now()).find(({ key, window }) => key === limitedBy.key && window === limitedBy.window);
  if (account === undefined) return [];
  const idle = ledgerOf(tx)
    .holders(account.id)
    .filter((grant) => {
      const { nano, requests, tokens } = leftOf(grant);
      // A key has used what it holds of its own rate, so only other keys can release.
      if (code === 'rate_limited') return grant.key !== plan.key && requests + tokens > 0;
      return grant.escrowFor === undefined && nano + requests > 0;
    });
  return [...new Set(idle.map(({ key }) => key))];
}

/** The keys whose proxies hold unspent money of an overdrawn account: its cap was lowered, or a call cost more than its bound. */
export function overdrawn(tx: Tx, plans: Iterable<AccountPlan>): readonly KeyName[] {
  const ledger = ledgerOf(tx);
  const accounts = new Map([...plans].flatMap((plan) => windowAccountsAt(plan, tx.now())).map((account) => [account.id, account]));
  const beyond = [...accounts.values()].filter(({ id, cap }) => {
    const account = cap.nano === undefined ? null : ledger.account(id);
    return account !== null && committed(account).nano > (cap.nano ?? 0);
  });
  const idle = beyond.flatMap(({ id }) => ledger.holders(id)).filter((grant) => grant.escrowFor === undefined && leftOf(grant).nano > 0);
  return [...new Set(idle.map(({ key }) => key))];
}

function viewOf(
  ledger: Ledger,
  { id, key, window, startMs, endMs, cap }: WindowAccount,
  escrow: EscrowLimit | null,
): AccountView['accounts'][number] {
  const found = ledger.account(id);
  const account = found ?? openAccount(startMs, null);
  const settled = settledOf(ledger, id, found);
  const used = plus(settled, account.burned);
  const committedNano = committed(account).nano;
  // A sub-agent's cap is its grants plus what its escrow still holds.
  const capNano = escrow !== null && id === totalOf(escrow.key) ? committedNano + escrow.grant.amount.nano : cap.nano;
  return {
    key,
    window,
    windowStart: new Date(startMs).toISOString(),
    ...defined({
      windowEnd: endMs === undefined ? undefined : new Date(endMs).toISOString(),
      capNanoUsd: capNano === undefined ? undefined : String(capNano),
    }),
    spentNanoUsd: String(settled.nano),
    outstandingNanoUsd: String(committedNano - used.nano),
    burnedNanoUsd: String(account.burned.nano),
    requestsUsed: used.requests,
    ...defined({ requestsCap: cap.requests }),
  };
}

/** What closed grants have settled, plus what open grants have settled so far. */
export function settledOf(ledger: Ledger, accountId: string, account: Account | null): Amounts {
  const closed = account?.settled ?? nothing;
  if (account === null || account.holders === 0) return closed;
  return ledger.holders(accountId).reduce((sum, grant) => plus(sum, grant.settled), closed);
}

function openEscrow(ledger: Ledger, plan: AccountPlan, nowMs: number): EscrowLimit | null {
  const escrow = escrowOf(ledger, plan, nowMs);
  return escrow === null || 'denial' in escrow ? null : escrow;
}
