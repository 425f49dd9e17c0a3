import { type Account, type Amounts, accountName, isNothing, minus, nothing, openAccount, plus } from './account.ts';
import type { BookedGrant, Ledger } from './ledger.ts';
import { minuteOf } from './window-account.ts';

/** The unspent part of an open grant; 0 in a dimension without limit. */
export function leftOf(grant: BookedGrant): Amounts {
  const { nano, requests = grant.settled.requests, tokens = grant.settled.tokens } = grant.amount;
  return minus({ nano, requests, tokens }, grant.settled);
}

/**
 * Charges one entry's payment to a grant. What the grant cannot cover comes from its burned part, then becomes debt of every
 * account, which blocks new grants. Tokens beyond the grant are charged to the current minute.
 * Returns the debt in nano-USD; 0 if I3 held.
 */
export function charge(ledger: Ledger, grant: BookedGrant, cost: Amounts, nowMs: number): number {
  const within = grant.open ? smaller(cost, limitless(grant, leftOf(grant))) : nothing;
  const beyond = minus(cost, within);
  const unburned = grant.open ? nothing : smaller(beyond, grant.burned);
  const debt = minus(beyond, unburned);
  const next = { ...grant, settled: plus(grant.settled, within), burned: minus(grant.burned, unburned) };
  ledger.putGrant(next);
  const direct = { ...plus(unburned, debt), tokens: 0 };
  if (!isNothing(direct) || !isNothing(unburned)) {
    for (const id of grant.accounts) {
      update(ledger, id, (account) => ({
        ...account,
        settled: plus(account.settled, direct),
        burned: minus(account.burned, unburned),
      }));
    }
  }
  const tokens = grant.amount.tokens === undefined ? 0 : debt.tokens + unburned.tokens;
  if (tokens > 0) chargeMinute(ledger, grant, tokens, nowMs);
  if (next.open && isDrained(next)) closeGrant(ledger, next, 'release', nowMs);
  return debt.nano;
}

/** Ends a grant. `release`: the rest can be granted again. `burn`: the rest counts as spent permanently. A closed grant does not change. */
export function closeGrant(ledger: Ledger, grant: BookedGrant, how: 'release' | 'burn', nowMs: number): BookedGrant {
  if (!grant.open) return grant;
  const left = leftOf(grant);
  const burned = how === 'burn' ? left : nothing;
  const closed = { ...grant, open: false, burned };
  ledger.putGrant(closed);
  const others = ledger.openGrants(grant.stream, grant.epoch);
  const held: Amounts = { nano: grant.amount.nano, requests: grant.amount.requests ?? 0, tokens: grant.amount.tokens ?? 0 };
  for (const id of grant.accounts) {
    const last = !others.some((other) => other.accounts.includes(id));
    update(ledger, id, (account) => ({
      ...account,
      settled: plus(account.settled, grant.settled),
      burned: plus(account.burned, burned),
      outstanding: minus(account.outstanding, held),
      holders: account.holders - (last ? 1 : 0),
    }));
  }
  if (how === 'release' && grant.escrow !== undefined) returnToEscrow(ledger, grant.escrow, left.nano, nowMs);
  return closed;
}

/**
 * Gives back burned money of a grant, at most what it burned; with the last of it also burned requests and tokens. A late entry
 * is then charged as debt.
 */
export function creditBurned(ledger: Ledger, grant: BookedGrant, nano: number, nowMs: number): void {
  const back = nano === grant.burned.nano ? grant.burned : { ...nothing, nano };
  ledger.putGrant({ ...grant, burned: minus(grant.burned, back) });
  for (const id of grant.accounts) update(ledger, id, (account) => ({ ...account, burned: minus(account.burned, back) }));
  if (grant.escrow !== undefined) returnToEscrow(ledger, grant.escrow, nano, nowMs);
}

/** Gives back money that entries charged to a grant, at most what they charged. */
export function creditSettled(ledger: Ledger, grant: BookedGrant, nano: number, nowMs: number): void {
  // Its accounts carry an open grant as outstanding, with what it has settled: it shrinks, and has no more left than before.
  const held = { ...nothing, nano: grant.open ? Math.min(nano, grant.settled.nano) : 0 };
  const direct = minus({ ...nothing, nano }, held);
  if (held.nano > 0) {
    const amount = { ...grant.amount, nano: grant.amount.nano - held.nano };
    ledger.putGrant({ ...grant, amount, settled: minus(grant.settled, held) });
  }
  for (const id of grant.accounts) {
    update(ledger, id, (account) => ({
      ...account,
      settled: minus(account.settled, direct),
      outstanding: minus(account.outstanding, held),
    }));
  }
  if (grant.escrow !== undefined) returnToEscrow(ledger, grant.escrow, nano, nowMs);
}

/** True if the grant carried money or counted requests, and nothing of either is left. */
function isDrained(grant: BookedGrant): boolean {
  return (grant.amount.nano > 0 || (grant.amount.requests ?? 0) > 0) && isNothing(leftOf(grant));
}

/** Returns the child's unspent money to its escrow, if that is open. */
function returnToEscrow(ledger: Ledger, id: string, nano: number, nowMs: number): void {
  const escrow = ledger.grant(id);
  if (escrow === null || !escrow.open || nano === 0) return;
  if (escrow.endMs !== undefined && nowMs >= escrow.endMs) return;
  ledger.putGrant({ ...escrow, amount: { ...escrow.amount, nano: escrow.amount.nano + nano } });
  for (const account of escrow.accounts) {
    update(ledger, account, (row) => ({ ...row, outstanding: plus(row.outstanding, { ...nothing, nano }) }));
  }
}

/** Charges a correction to the minute in which it is known, so that it delays the next call even if the call's own minute is over. */
function chargeMinute(ledger: Ledger, grant: BookedGrant, tokens: number, nowMs: number): void {
  for (const { key, window } of grant.accounts.map(accountName)) {
    if (window !== 'Minute') continue;
    const { id, startMs } = minuteOf(key, nowMs);
    const account = ledger.account(id) ?? openAccount(startMs, ledger.newestAccount(key, 'Minute'));
    ledger.putAccount(id, { ...account, settled: plus(account.settled, { ...nothing, tokens }) });
  }
}

function update(ledger: Ledger, id: string, change: (account: Account) => Account): void {
  const account = ledger.account(id);
  if (account !== null) ledger.putAccount(id, change(account));
  else if (accountName(id).window !== 'Minute') throw new Error(`account ${id} is gone from the ledger`);
  // An old minute is pruned: nothing reads it again.
}

/** The same, but infinite in every dimension that the grant does not limit. */
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
