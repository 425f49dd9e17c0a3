import type { NanoUsd } from '../money.ts';
import type { KeyName } from '../names.ts';
import { type Account, type AccountRef, type Amounts, committed, type Dimension, nothing } from './account.ts';
import type { BookedGrant } from './ledger.ts';
import { totalOf, type WindowAccount } from './window-account.ts';

/** What requests that wait claim of the accounts, as the ledger shows it to another request. */
export interface Claims {
  /** What is kept for requests that come first. */
  kept(accountId: string): Amounts;
  /** Other requests that wait there: the account then gives a call no more than its bound, and nothing in advance. */
  waiting(accountId: string): number;
}

export const noClaims: Claims = { kept: () => nothing, waiting: () => 0 };

/** One cap that a request for a grant must fit under. */
export interface AccountLimit {
  readonly dimension: Dimension;
  readonly of: AccountRef;
  readonly cap: number;
  /** Cap minus what is committed; negative if the cap was lowered or there is debt. */
  readonly free: number;
  /** The part of it that is kept for requests that come first. */
  readonly kept: number;
  /** Other requests that wait for this account. */
  readonly waiting: number;
  /** Holders of open grants, the requesting one included. */
  readonly holders: number;
  /** The account whose open grants may still be released. */
  readonly accountId: string;
  readonly endMs: number | undefined;
}

/** One account of a path at the time of a request. */
export interface AccountUse {
  readonly windowAccount: WindowAccount;
  readonly account: Account;
  /** True if the requesting holder has another open grant from it. */
  readonly held: boolean;
  /** True if an escrow has already set the money aside. */
  readonly escrowed: boolean;
}

/** An escrow and the amount with which it was minted. */
export interface EscrowLimit {
  readonly grant: BookedGrant;
  readonly key: KeyName;
  readonly capNano: NanoUsd;
}

/** The caps of one dimension along the path. Where an escrow covers the money, the escrow limits it instead of the account. */
export function limitsOn(
  uses: readonly AccountUse[],
  dimension: Dimension,
  { escrow, claims }: { readonly escrow: EscrowLimit | null; readonly claims: Claims },
): readonly AccountLimit[] {
  const limits: Omit<AccountLimit, 'kept' | 'waiting'>[] = [];
  for (const { windowAccount, account, held, escrowed } of uses) {
    const { id, key, window, endMs } = windowAccount;
    const cap = windowAccount.cap[dimension];
    if (cap === undefined || (escrowed && dimension === 'nano')) continue;
    limits.push({
      dimension,
      of: { key, window },
      cap,
      free: cap - committed(account)[dimension],
      holders: account.holders + (held ? 0 : 1),
      accountId: id,
      endMs,
    });
  }
  if (escrow !== null && dimension === 'nano') limits.push(limitOfEscrow(uses, escrow));
  return limits.map((limit) => ({ ...limit, kept: claims.kept(limit.accountId)[dimension], waiting: claims.waiting(limit.accountId) }));
}

function limitOfEscrow(uses: readonly AccountUse[], { grant, key, capNano }: EscrowLimit): Omit<AccountLimit, 'kept' | 'waiting'> {
  const accountId = totalOf(key);
  const use = uses.find(({ windowAccount }) => windowAccount.id === accountId);
  return {
    dimension: 'nano',
    of: { key, window: 'Total' },
    cap: capNano,
    free: grant.amount.nano,
    holders: (use?.account.holders ?? 0) + (use?.held === true ? 0 : 1),
    accountId,
    endMs: grant.endMs,
  };
}
