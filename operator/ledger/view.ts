import { type Amounts, committed, nothing, openAccount, plus } from '../../core/budget/account.ts';
import type { Books } from '../../core/budget/books.ts';
import type { EscrowCeiling } from '../../core/budget/ceiling.ts';
import { leftOf } from '../../core/budget/grant.ts';
import { type Slot, slotsAt, totalOf } from '../../core/budget/slot.ts';
import type { AccountView } from '../../core/control.ts';
import type { KeyName } from '../../core/key.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
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
  return settledOf(booksOf(tx), totalOf(key)).nano;
}

/** Keys whose proxies hold unspent money of the tightest account on the path: to be asked for it when a budget is near its end. */
export function recallTargets(tx: Tx, plan: AccountPlan): readonly KeyName[] {
  const books = booksOf(tx);
  const tightest = tightestOf(books, plan, tx.now());
  if (tightest === null) return [];
  const idle = books.holders(tightest).filter((grant) => grant.escrowFor === undefined && leftOf(grant).nano > 0);
  return [...new Set(idle.map(({ key }) => key))];
}

function viewOf(books: Books, slot: Slot, escrow: EscrowCeiling | null): AccountView['accounts'][number] {
  const account = books.account(slot.id) ?? openAccount(slot.startMs, null);
  const settled = settledOf(books, slot.id);
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
function settledOf(books: Books, accountId: string): Amounts {
  const closed = books.account(accountId)?.settled ?? nothing;
  return books.holders(accountId).reduce((sum, grant) => plus(sum, grant.settled), closed);
}

function tightestOf(books: Books, plan: AccountPlan, nowMs: number): string | null {
  const escrow = standingEscrow(books, plan, nowMs);
  let tightest = escrow === null ? null : { id: totalOf(escrow.key), free: escrow.grant.amount.nano };
  for (const { id, cap } of slotsAt(plan, nowMs)) {
    const account = books.account(id);
    if (cap.nano === undefined || account === null || escrow?.grant.accounts.includes(id) === true) continue;
    const free = cap.nano - committed(account).nano;
    if (tightest === null || free < tightest.free) tightest = { id, free };
  }
  return tightest?.id ?? null;
}

function standingEscrow(books: Books, plan: AccountPlan, nowMs: number): EscrowCeiling | null {
  const escrow = escrowOf(books, plan, nowMs);
  return escrow === null || 'denial' in escrow ? null : escrow;
}
