import type { NanoUsd } from '../money.ts';
import type { KeyName, StreamId } from '../names.ts';
import type { GrantDenial } from '../protocol/money.ts';
import { type Amounts, accountName, nothing, openAccount, plus } from './account.ts';
import type { BookedGrant, Books } from './books.ts';
import { type Ceiling, ceilings, type EscrowCeiling, type Till } from './ceiling.ts';
import { deny, type Obstacle } from './denial.ts';
import type { Slot } from './slot.ts';

/** What one holder asks for. Figures are whole numbers ≥ 0; see GrantRequest and Shortage. */
export interface Ask {
  readonly id: string;
  readonly askId: string;
  readonly key: KeyName;
  readonly stream: StreamId;
  readonly epoch: number;
  readonly heldNano: NanoUsd;
  readonly atLeastNano: NanoUsd;
  readonly boundNano: NanoUsd;
  readonly wantNano: NanoUsd;
  readonly atLeastRequests: 0 | 1;
  readonly wantRequests: number;
  readonly tokens: number;
  readonly escrowFor?: KeyName;
}

/** A grant that is booked, and what the tightest account of its path has left; absent: uncapped. */
export interface Allotment {
  readonly grant: BookedGrant;
  readonly remainderNano?: NanoUsd;
}

/**
 * Grants out of every account on the path at once, or of none. I1 holds after it for each of them: nothing is granted beyond
 * the smallest remainder, and where that is short the ask is refused, never shrunk below what a call needs.
 */
export function allot(
  books: Books,
  ask: Ask,
  slots: readonly Slot[],
  escrow: EscrowCeiling | null,
  nowMs: number,
): Allotment | GrantDenial {
  const tills = tillsOf(books, ask, slots, escrow?.grant ?? null);
  const money = ceilings(tills, 'nano', escrow);
  const requests = ceilings(tills, 'requests', escrow);
  const tokens = ceilings(tills, 'tokens', escrow);
  const least = leastOf(ask, tokens);
  const obstacles = [...obstaclesIn(money, least.nano), ...obstaclesIn(requests, least.requests), ...obstaclesIn(tokens, least.tokens)];
  const free = freeUnder(money);
  const available = Math.min(free, ask.boundNano) + ask.heldNano;
  if (obstacles.length > 0) return deny(books, obstacles, ask.heldNano, available, nowMs);

  const wantTokens = ask.tokens * Math.max(1, ask.wantRequests);
  const nano = size(money, { atLeast: targetOf(ask, free), want: ask.wantNano });
  const amount = {
    nano,
    ...(requests.length === 0 ? {} : { requests: size(requests, { atLeast: least.requests, want: ask.wantRequests }) }),
    ...(tokens.length === 0 ? {} : { tokens: size(tokens, { atLeast: least.tokens, want: wantTokens }) }),
  };
  const grant = book(books, ask, tills, amount, escrow?.grant ?? null);
  return money.length === 0 ? { grant } : { grant, remainderNano: free - nano };
}

/** Accounts of the path, opened where the window is new; and those that the escrow was taken from, whatever the plan says now. */
function tillsOf(books: Books, ask: Ask, slots: readonly Slot[], escrow: BookedGrant | null): readonly Till[] {
  const mine = books.openGrants(ask.stream, ask.epoch);
  const known = new Set(slots.map((slot) => slot.id));
  const further = (escrow?.accounts ?? []).filter((id) => !known.has(id)).map((id) => ({ id, ...accountName(id), cap: {} }) as Slot);
  return [...slots, ...further].map((slot) => {
    const account = books.account(slot.id) ?? openAccount(slot.startMs, slot.window === 'Minute' ? books.newest(slot.key, 'Minute') : null);
    return {
      slot,
      account: slot.cap.tokens === undefined ? account : { ...account, tokensPerMinute: slot.cap.tokens },
      held: mine.some((grant) => grant.accounts.includes(slot.id)),
      escrowed: escrow?.accounts.includes(slot.id) === true,
    };
  });
}

/** Below this a grant would serve nobody. */
function leastOf(ask: Ask, tokens: readonly Ceiling[]): Amounts {
  const counts = ask.atLeastRequests > 0 || ask.tokens > 0;
  const wantsMoney = ask.boundNano > 0 || ask.wantNano > 0;
  return {
    nano: Math.max(ask.atLeastNano, wantsMoney && !counts ? 1 : 0),
    requests: ask.atLeastRequests,
    // A call larger than the whole rate passes in a minute of its own; what it really used is charged when it settles.
    tokens: tokens.reduce((least, { cap }) => Math.min(least, cap), ask.tokens),
  };
}

function obstaclesIn(limits: readonly Ceiling[], least: number): readonly Obstacle[] {
  return limits.filter(({ free }) => least > 0 && least > free).map((ceiling) => ({ ceiling, least }));
}

function freeUnder(limits: readonly Ceiling[]): number {
  return limits.reduce((least, { free }) => Math.min(least, Math.max(0, free)), Number.MAX_SAFE_INTEGER);
}

/** The asking call's own share. One that could do with less leaves three quarters of the remainder to parallel calls. */
function targetOf(ask: Ask, free: NanoUsd): NanoUsd {
  if (ask.atLeastNano === ask.boundNano) return ask.boundNano;
  return Math.max(ask.atLeastNano, Math.min(ask.boundNano, Math.floor(free / 4)));
}

/** max(this call, min(want, remainder / 4N)); without limit: what is wanted. The caller has checked that this call fits. */
function size(limits: readonly Ceiling[], { atLeast, want }: { readonly atLeast: number; readonly want: number }): number {
  const share = limits.reduce(
    (least, { free, holders }) => Math.min(least, Math.floor(Math.max(0, free) / (4 * Math.max(1, holders)))),
    Number.MAX_SAFE_INTEGER,
  );
  return Math.max(atLeast, Math.min(want, share));
}

function book(books: Books, ask: Ask, tills: readonly Till[], amount: BookedGrant['amount'], escrow: BookedGrant | null): BookedGrant {
  const taken: Amounts = { ...nothing, ...amount };
  for (const { slot, account, held, escrowed } of tills) {
    books.putAccount(slot.id, {
      ...account,
      // Out of an escrow the money is outstanding here already.
      outstanding: plus(account.outstanding, escrowed ? { ...taken, nano: 0 } : taken),
      holders: account.holders + (held ? 0 : 1),
    });
  }
  if (escrow !== null) books.putGrant({ ...escrow, amount: { ...escrow.amount, nano: escrow.amount.nano - amount.nano } });
  const ends = [escrow?.endMs, ...tills.map(({ slot }) => slot.endMs)].filter((endMs) => endMs !== undefined);
  const grant: BookedGrant = {
    id: ask.id,
    askId: ask.askId,
    key: ask.key,
    stream: ask.stream,
    epoch: ask.epoch,
    accounts: tills.map(({ slot }) => slot.id),
    amount,
    settled: nothing,
    burned: nothing,
    open: true,
    ...(ends.length === 0 ? {} : { endMs: Math.min(...ends) }),
    ...(escrow === null ? {} : { escrow: escrow.id }),
    ...(ask.escrowFor === undefined ? {} : { escrowFor: ask.escrowFor }),
  };
  books.putGrant(grant);
  return grant;
}
