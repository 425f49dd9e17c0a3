import type { NanoUsd } from '../money.ts';
import type { KeyName } from '../names.ts';
import { type Account, committed, type Dimension } from './account.ts';
import type { BookedGrant } from './books.ts';
import { type Slot, totalOf } from './slot.ts';

/** One cap that an ask has to fit under. */
export interface Ceiling {
  readonly dimension: Dimension;
  /** Whose, e.g. `agents/bot` and `Day`. */
  readonly key: KeyName;
  readonly window: string;
  readonly cap: number;
  /** Cap less what is committed; negative where a cap was lowered or debt stands. */
  readonly free: number;
  /** Holders of open grants, the asker among them. */
  readonly holders: number;
  /** Its open grants are what might come back. */
  readonly accountId: string;
  readonly endMs?: number;
}

/** An account as it stands, with the slot that it fills. */
export interface Till {
  readonly slot: Slot;
  readonly account: Account;
  /** True where the asker holds another open grant of it. */
  readonly held: boolean;
  /** True where an escrow has set the money aside already. */
  readonly escrowed: boolean;
}

/** The caps of one dimension along the path. Money that an escrow covers is under the escrow's ceiling instead of the account's. */
export function ceilings(tills: readonly Till[], dimension: Dimension, escrow: EscrowCeiling | null): readonly Ceiling[] {
  const found: Ceiling[] = [];
  for (const { slot, account, held, escrowed } of tills) {
    const cap = slot.cap[dimension];
    if (cap === undefined || (escrowed && dimension === 'nano')) continue;
    found.push({
      dimension,
      key: slot.key,
      window: slot.window,
      cap,
      free: cap - committed(account)[dimension],
      holders: account.holders + (held ? 0 : 1),
      accountId: slot.id,
      ...(slot.endMs === undefined ? {} : { endMs: slot.endMs }),
    });
  }
  if (escrow !== null && dimension === 'nano') found.push(escrowCeiling(tills, escrow));
  return found;
}

/** An escrow and the amount with which it was minted. */
export interface EscrowCeiling {
  readonly grant: BookedGrant;
  readonly key: KeyName;
  readonly capNano: NanoUsd;
}

function escrowCeiling(tills: readonly Till[], { grant, key, capNano }: EscrowCeiling): Ceiling {
  const accountId = totalOf(key);
  const till = tills.find(({ slot }) => slot.id === accountId);
  return {
    dimension: 'nano',
    key,
    window: 'Total',
    cap: capNano,
    free: grant.amount.nano,
    holders: (till?.account.holders ?? 0) + (till?.held === true ? 0 : 1),
    accountId,
    ...(grant.endMs === undefined ? {} : { endMs: grant.endMs }),
  };
}
