import type { Need } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';

/** What is there for the calls of one key. */
interface Available {
  /** What the ledger has left, as far as this proxy knows; undefined: uncapped, or no grant yet. */
  readonly ledgerNano: NanoUsd | undefined;
  readonly freeNano: NanoUsd;
  readonly waiting: number;
}

/**
 * Limits a call that can work with less. As in the ledger, it leaves three quarters to parallel calls, and a share to each
 * waiting call; of less than it prefers, it leaves a share to each waiting call.
 */
export function withinShare(need: Need, { ledgerNano, freeNano, waiting }: Available): Need {
  const { atLeastNano, preferredNano, boundNano } = need;
  if (freeNano < preferredNano) {
    return { ...need, boundNano: Math.max(atLeastNano, Math.floor(freeNano / Math.max(1, waiting))) };
  }
  if (ledgerNano === undefined) return need;
  const share = Math.floor((ledgerNano + freeNano) / Math.max(4, waiting));
  return { ...need, boundNano: Math.max(preferredNano, Math.min(boundNano, share)) };
}
