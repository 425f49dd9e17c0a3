import { defined } from '../json.ts';
import { minOf, type NanoUsd } from '../money.ts';
import type { GrantId, KeyName, StreamId } from '../names.ts';
import { type Amounts, accountName, nothing, openAccount, plus } from './account.ts';
import { type AccountLimit, type AccountUse, type Claims, type EscrowLimit, limitsOn } from './account-limit.ts';
import { type Denial, deny, potentialOf, type Shortfall } from './denial.ts';
import type { BookedGrant, Ledger } from './ledger.ts';
import type { Shortage } from './types.ts';
import type { WindowAccount } from './window-account.ts';

/** The request of one holder. Figures are whole numbers ≥ 0; see GrantRequest and Shortage. */
export interface HolderRequest extends Required<Omit<Shortage, 'kind'>> {
  readonly id: GrantId;
  readonly askId: string;
  readonly key: KeyName;
  readonly stream: StreamId;
  readonly epoch: number;
  readonly escrowFor?: KeyName;
  /** False: the call has time to wait for `preferredNano`, as long as that may come back. */
  readonly acceptsLess: boolean;
}

/** A request, the accounts on its key's path, and the escrow that pays, if there is one. */
interface GrantCase {
  readonly ledger: Ledger;
  readonly request: HolderRequest;
  readonly accounts: readonly WindowAccount[];
  readonly escrow: EscrowLimit | null;
  readonly claims: Claims;
  readonly nowMs: number;
}

/** A booked grant, and what the tightest account of its path has left; absent: uncapped. */
export interface Granted {
  readonly grant: BookedGrant;
  readonly remainderNano?: NanoUsd;
}

/**
 * Grants from every account on the path at once, or from none. Afterwards I1 holds for each account: no grant exceeds the
 * smallest remainder. If that is short, the request is denied; a grant never shrinks below what a call needs.
 */
export function grantFrom({ ledger, request, accounts, escrow, claims, nowMs }: GrantCase): Granted | Denial {
  const uses = usesOf(ledger, request, accounts, escrow?.grant ?? null);
  const money = withoutPrefetch(request, limitsOn(uses, 'nano', { escrow, claims }));
  const requests = limitsOn(uses, 'requests', { escrow, claims });
  const tokens = limitsOn(uses, 'tokens', { escrow, claims });
  const min = minimumOf({ ...request, atLeastNano: leastOf(ledger, request, money) }, tokens);
  const shortfalls = [...shortfallsIn(money, min.nano), ...shortfallsIn(requests, min.requests), ...shortfallsIn(tokens, min.tokens)];
  const free = freeUnder(money);
  if (shortfalls.length > 0) {
    const availableNano = Math.min(free, request.boundNano) + request.heldNano;
    return deny({ ledger, shortfalls, money, heldNano: request.heldNano, availableNano, nowMs });
  }
  const wantTokens = request.tokens * Math.max(1, request.wantRequests);
  const amount = {
    nano: grantSize(money, { min: targetOf(request, money), want: request.wantNano }),
    ...(requests.length === 0 ? {} : { requests: grantSize(requests, { min: min.requests, want: request.wantRequests }) }),
    ...(tokens.length === 0 ? {} : { tokens: grantSize(tokens, { min: min.tokens, want: wantTokens }) }),
  };
  const grant = bookGrant({ ledger, request, uses, amount, escrow: escrow?.grant ?? null });
  return money.length === 0 ? { grant } : { grant, remainderNano: free - amount.nano };
}

/** Accounts of the path, opened if the window is new, and those that fund the escrow, even if the current plan omits them. */
function usesOf(
  ledger: Ledger,
  { stream, epoch }: HolderRequest,
  accounts: readonly WindowAccount[],
  escrow: BookedGrant | null,
): readonly AccountUse[] {
  const mine = ledger.openGrants(stream, epoch);
  const onPath = new Set(accounts.map(({ id }) => id));
  const further = (escrow?.accounts ?? []).filter((id) => !onPath.has(id)).map((id) => ({ id, ...accountName(id), cap: {} }));
  return [...accounts, ...further].map((windowAccount: WindowAccount) => {
    const { id, key, window, startMs, cap } = windowAccount;
    const account = ledger.account(id) ?? openAccount(startMs, window === 'Minute' ? ledger.newestAccount(key, 'Minute') : null);
    return {
      windowAccount,
      account: cap.tokens === undefined ? account : { ...account, tokensPerMinute: cap.tokens },
      held: mine.some((grant) => grant.accounts.includes(id)),
      escrowed: escrow?.accounts.includes(id) === true,
    };
  });
}

/** With a smaller grant, no call could pass. */
function minimumOf(
  { boundNano, wantNano, atLeastNano, atLeastRequests, tokens }: HolderRequest,
  tokenLimits: readonly AccountLimit[],
): Amounts {
  const counts = atLeastRequests > 0 || tokens > 0;
  const wantsMoney = boundNano > 0 || wantNano > 0;
  return {
    nano: Math.max(atLeastNano, wantsMoney && !counts ? 1 : 0),
    requests: atLeastRequests,
    // A call larger than the whole rate passes alone in a minute; its real use is charged when it settles.
    tokens: tokenLimits.reduce((min, { cap }) => Math.min(min, cap), tokens),
  };
}

/** A request in the background finds nothing in an account for which calls wait. */
function withoutPrefetch({ boundNano }: HolderRequest, limits: readonly AccountLimit[]): readonly AccountLimit[] {
  if (boundNano > 0) return limits;
  return limits.map((limit) => (limit.waiting === 0 ? limit : { ...limit, kept: Math.max(limit.kept, limit.free) }));
}

/** The least that the call takes now. While `preferredNano` may come back, a call with time to wait takes no less. */
function leastOf(
  ledger: Ledger,
  { acceptsLess, atLeastNano, preferredNano, heldNano }: HolderRequest,
  money: readonly AccountLimit[],
): NanoUsd {
  if (acceptsLess || freeUnder(money) >= preferredNano) return atLeastNano;
  return potentialOf(ledger, money) >= preferredNano + heldNano ? preferredNano : atLeastNano;
}

function shortfallsIn(limits: readonly AccountLimit[], min: number): readonly Shortfall[] {
  return limits.filter(({ free, kept }) => min > 0 && min > free - kept).map((limit) => ({ limit, min }));
}

function freeUnder(limits: readonly AccountLimit[]): number {
  return limits.reduce((min, { free, kept }) => Math.min(min, Math.max(0, free - kept)), Number.MAX_SAFE_INTEGER);
}

/**
 * The requesting call's own share. If it can work with less than its bound, it leaves three quarters of the remainder to
 * parallel calls; if there is less than it prefers, it gets all of it, because an answer that its limit cuts off helps nobody.
 */
function targetOf({ atLeastNano, preferredNano, boundNano }: HolderRequest, money: readonly AccountLimit[]): NanoUsd {
  const free = freeUnder(money);
  if (free >= preferredNano) return Math.max(preferredNano, Math.min(boundNano, Math.floor(free / 4)));
  return Math.max(atLeastNano, free);
}

/** max(this call, min(want, remainder / 4N)); without limit: `want`; for this call alone while others wait. The caller has checked that it fits. */
function grantSize(limits: readonly AccountLimit[], { min, want }: { readonly min: number; readonly want: number }): number {
  if (limits.some(({ waiting }) => waiting > 0)) return min;
  const share = limits.reduce(
    (smallest, { free, kept, holders }) => Math.min(smallest, Math.floor(Math.max(0, free - kept) / (4 * Math.max(1, holders)))),
    Number.MAX_SAFE_INTEGER,
  );
  return Math.max(min, Math.min(want, share));
}

interface Booking extends Pick<GrantCase, 'ledger' | 'request'> {
  readonly uses: readonly AccountUse[];
  readonly amount: BookedGrant['amount'];
  readonly escrow: BookedGrant | null;
}

function bookGrant({ ledger, request, uses, amount, escrow }: Booking): BookedGrant {
  const taken: Amounts = { ...nothing, ...amount };
  for (const { windowAccount, account, held, escrowed } of uses) {
    ledger.putAccount(windowAccount.id, {
      ...account,
      // Money from an escrow is already outstanding here.
      outstanding: plus(account.outstanding, escrowed ? { ...taken, nano: 0 } : taken),
      holders: account.holders + (held ? 0 : 1),
    });
  }
  if (escrow !== null) ledger.putGrant({ ...escrow, amount: { ...escrow.amount, nano: escrow.amount.nano - amount.nano } });
  const endMs = minOf([escrow?.endMs, ...uses.map(({ windowAccount }) => windowAccount.endMs)]);
  const grant: BookedGrant = {
    id: request.id,
    askId: request.askId,
    key: request.key,
    stream: request.stream,
    epoch: request.epoch,
    accounts: uses.map(({ windowAccount }) => windowAccount.id),
    amount,
    settled: nothing,
    burned: nothing,
    open: true,
    ...defined({ endMs, escrow: escrow?.id, escrowFor: request.escrowFor }),
  };
  ledger.putGrant(grant);
  return grant;
}
