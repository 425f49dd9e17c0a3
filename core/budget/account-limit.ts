import type { NanoUsd } from '../money.ts';
import type { KeyName } from '../names.ts';
import { type Account, type AccountRef, committed, type Dimension } from './account.ts';
import type { BookedGrant } from './ledger.ts';
import { totalOf, type WindowAccount } from './window-account.ts';

/** One cap that a request for a grant must fit under. */
export interface AccountLimit {
  readonly dimension: Dimension;
  readonly of: AccountRef;
  readonly cap: number;
  /** Cap minus what is committed; negative if the cap was lowered or there is debt. */
  readonly free: number;
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
export function limitsOn(uses: readonly AccountUse[], dimension: Dimension, escrow: EscrowLimit | null): readonly AccountLimit[] {
  const limits: AccountLimit[] = [];
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
  return limits;
}

function limitOfEscrow(uses: readonly AccountUse[], { grant, key, capNano }: EscrowLimit): AccountLimit {
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
