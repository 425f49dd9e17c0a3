import { type Account, type Amounts, accountName, isNothing, minus, nothing, openAccount, plus } from './account.ts';
import type { BookedGrant, Books } from './books.ts';
import { minuteOf } from './slot.ts';

/** What an open grant still holds. A dimension without limit holds nothing. */
export function leftOf(grant: BookedGrant): Amounts {
  const { nano, requests = grant.settled.requests, tokens = grant.settled.tokens } = grant.amount;
  return minus({ nano, requests, tokens }, grant.settled);
}

/**
 * Charges one entry's payment to a grant. What the grant no longer holds is charged all the same: from what was burned of it,
 * else as debt of every account, which blocks new grants. Tokens beyond the grant fall on the current minute.
 * Returns the debt in nano-USD; 0 where I3 held.
 */
export function charge(books: Books, grant: BookedGrant, cost: Amounts, nowMs: number): number {
  const within = grant.open ? smaller(cost, limitless(grant, leftOf(grant))) : nothing;
  const beyond = minus(cost, within);
  const unburned = grant.open ? nothing : smaller(beyond, grant.burned);
  const debt = minus(beyond, unburned);
  const next = { ...grant, settled: plus(grant.settled, within), burned: minus(grant.burned, unburned) };
  books.putGrant(next);
  const direct = { ...plus(unburned, debt), tokens: 0 };
  if (!isNothing(direct) || !isNothing(unburned)) {
    for (const id of grant.accounts) {
      update(books, id, (account) => ({
        ...account,
        settled: plus(account.settled, direct),
        burned: minus(account.burned, unburned),
      }));
    }
  }
  const tokens = grant.amount.tokens === undefined ? 0 : debt.tokens + unburned.tokens;
  if (tokens > 0) chargeMinute(books, grant, tokens, nowMs);
  if (next.open && isDrained(next)) closeGrant(books, next, 'release', nowMs);
  return debt.nano;
}

/** Ends a grant. `release`: what is left can be granted again; `burn`: it counts as spent for good. A closed grant stays as it is. */
export function closeGrant(books: Books, grant: BookedGrant, how: 'release' | 'burn', nowMs: number): BookedGrant {
  if (!grant.open) return grant;
  const left = leftOf(grant);
  const burned = how === 'burn' ? left : nothing;
  const closed = { ...grant, open: false, burned };
  books.putGrant(closed);
  const others = books.openGrants(grant.stream, grant.epoch);
  const held: Amounts = { nano: grant.amount.nano, requests: grant.amount.requests ?? 0, tokens: grant.amount.tokens ?? 0 };
  for (const id of grant.accounts) {
    const last = !others.some((other) => other.accounts.includes(id));
    update(books, id, (account) => ({
      ...account,
      settled: plus(account.settled, grant.settled),
      burned: plus(account.burned, burned),
      outstanding: minus(account.outstanding, held),
      holders: account.holders - (last ? 1 : 0),
    }));
  }
  if (how === 'release' && grant.escrow !== undefined) returnToEscrow(books, grant.escrow, left.nano, nowMs);
  return closed;
}

/** Gives back what was burned of a closed grant. Only once no late entry can come; returns nano-USD. */
export function creditGrant(books: Books, grant: BookedGrant): number {
  books.putGrant({ ...grant, burned: nothing });
  for (const id of grant.accounts) {
    update(books, id, (account) => ({ ...account, burned: minus(account.burned, grant.burned) }));
  }
  return grant.burned.nano;
}

/** Made to carry money or counted requests, and nothing is left of either. */
function isDrained(grant: BookedGrant): boolean {
  return (grant.amount.nano > 0 || (grant.amount.requests ?? 0) > 0) && isNothing(leftOf(grant));
}

/** The child's unspent money belongs to its escrow again, while that stands. */
function returnToEscrow(books: Books, id: string, nano: number, nowMs: number): void {
  const escrow = books.grant(id);
  if (escrow === null || !escrow.open || nano === 0) return;
  if (escrow.endMs !== undefined && nowMs >= escrow.endMs) return;
  books.putGrant({ ...escrow, amount: { ...escrow.amount, nano: escrow.amount.nano + nano } });
  for (const account of escrow.accounts) {
    update(books, account, (row) => ({ ...row, outstanding: plus(row.outstanding, { ...nothing, nano }) }));
  }
}

/** A correction lands in the minute in which it is known, so that it delays the next call even where the call's own minute is over. */
function chargeMinute(books: Books, grant: BookedGrant, tokens: number, nowMs: number): void {
  for (const { key, window } of grant.accounts.map(accountName)) {
    if (window !== 'Minute') continue;
    const { id, startMs } = minuteOf(key, nowMs);
    const account = books.account(id) ?? openAccount(startMs, books.newest(key, 'Minute'));
    books.putAccount(id, { ...account, settled: plus(account.settled, { ...nothing, tokens }) });
  }
}

function update(books: Books, id: string, change: (account: Account) => Account): void {
  const account = books.account(id);
  if (account !== null) books.putAccount(id, change(account));
  else if (accountName(id).window !== 'Minute') throw new Error(`account ${id} is gone from the ledger`);
  // A minute that is long over is pruned: nothing reads it again.
}

/** The same, without end in every dimension that the grant does not limit. */
function limitless(grant: BookedGrant, left: Amounts): Amounts {
  return {
    nano: left.nano,
    requests: grant.amount.requests === undefined ? Number.MAX_SAFE_INTEGER : left.requests,
    tokens: grant.amount.tokens === undefined ? Number.MAX_SAFE_INTEGER : left.tokens,
  };
}

function smaller(a: Amounts, b: Amounts): Amounts {
  return { nano: Math.min(a.nano, b.nano), requests: Math.min(a.requests, b.requests), tokens: Math.min(a.tokens, b.tokens) };
}
