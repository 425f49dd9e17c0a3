import { type Account, type Amounts, committed, nothing, openAccount, plus } from '../../core/budget/account.ts';
import type { Books } from '../../core/budget/books.ts';
import type { EscrowCeiling } from '../../core/budget/ceiling.ts';
import { leftOf } from '../../core/budget/grant.ts';
import { type Slot, slotsAt, totalOf } from '../../core/budget/slot.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { AccountView, GrantDenial } from '../../core/protocol/money.ts';
import type { Tx } from '../store/types.ts';
import { booksOf } from './books.ts';
import { escrowOf } from './escrow.ts';

/** Where every account on a key's path stands now, root first, without the per-minute rates. */
export function view(tx: Tx, plan: AccountPlan): AccountView {
  const books = booksOf(tx);
  const escrow = standingEscrow(books, plan, tx.now());
  const slots = slotsAt(plan, tx.now()).filter(({ window }) => window !== 'Minute');
  return { key: plan.key, accounts: slots.map((slot) => viewOf(books, slot, escrow)) };
}

/** What a key has spent in its life, by the entries that are stored. */
export function spent(tx: Tx, key: KeyName): NanoUsd {
  const books = booksOf(tx);
  const id = totalOf(key);
  return settledOf(books, id, books.account(id)).nano;
}

/** Keys whose proxies hold unspent what a denial found missing: to be asked for it, be it money, requests or a share of a rate. */
export function recallTargets(tx: Tx, plan: AccountPlan, { code, limitedBy }: Pick<GrantDenial, 'code' | 'limitedBy'>): readonly KeyName[] {
  if (code !== 'budget_reserved' && code !== 'rate_limited') return [];
  const slot = slotsAt(plan, tx.now()).find(({ key, window }) => `${key} ${window}` === limitedBy);
  if (slot === undefined) return [];
  const idle = booksOf(tx)
    .holders(slot.id)
    .filter((grant) => {
      const { nano, requests, tokens } = leftOf(grant);
      // Of its own rate a key has used what it holds: only others can give.
      if (code === 'rate_limited') return grant.key !== plan.key && requests + tokens > 0;
      return grant.escrowFor === undefined && nano + requests > 0;
    });
  return [...new Set(idle.map(({ key }) => key))];
}

/** Keys whose proxies hold unspent money of an account that is beyond its cap, since that was lowered or a call cost more than its bound. */
export function overdrawn(tx: Tx, plans: Iterable<AccountPlan>): readonly KeyName[] {
  const books = booksOf(tx);
  const slots = new Map([...plans].flatMap((plan) => slotsAt(plan, tx.now())).map((slot) => [slot.id, slot]));
  const beyond = [...slots.values()].filter(({ id, cap }) => {
    const account = cap.nano === undefined ? null : books.account(id);
    return account !== null && committed(account).nano > (cap.nano ?? 0);
  });
  const idle = beyond.flatMap(({ id }) => books.holders(id)).filter((grant) => grant.escrowFor === undefined && leftOf(grant).nano > 0);
  return [...new Set(idle.map(({ key }) => key))];
}

function viewOf(books: Books, slot: Slot, escrow: EscrowCeiling | null): AccountView['accounts'][number] {
  const found = books.account(slot.id);
  const account = found ?? openAccount(slot.startMs, null);
  const settled = settledOf(books, slot.id, found);
  const used = plus(settled, account.burned);
  const outstanding = committed(account).nano - used.nano;
  // A sub-agent's cap is what it has had and what its escrow still holds.
  const cap = escrow !== null && slot.id === totalOf(escrow.key) ? committed(account).nano + escrow.grant.amount.nano : slot.cap.nano;
  return {
    key: slot.key,
    window: slot.window,
    windowStart: new Date(slot.startMs).toISOString(),
    ...(slot.endMs === undefined ? {} : { windowEnd: new Date(slot.endMs).toISOString() }),
    ...(cap === undefined ? {} : { capNanoUsd: String(cap) }),
    spentNanoUsd: String(settled.nano),
    outstandingNanoUsd: String(outstanding),
    burnedNanoUsd: String(account.burned.nano),
    requestsUsed: used.requests,
    ...(slot.cap.requests === undefined ? {} : { requestsCap: slot.cap.requests }),
  };
}

/** What closed grants settled, and what open ones have so far. */
function settledOf(books: Books, accountId: string, account: Account | null): Amounts {
  const closed = account?.settled ?? nothing;
  if (account === null || account.holders === 0) return closed;
  return books.holders(accountId).reduce((sum, grant) => plus(sum, grant.settled), closed);
}

function standingEscrow(books: Books, plan: AccountPlan, nowMs: number): EscrowCeiling | null {
  const escrow = escrowOf(books, plan, nowMs);
  return escrow === null || 'denial' in escrow ? null : escrow;
}
