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
 * waiting call. Of less than it prefers it takes all: an answer that its limit cuts off helps nobody, and what it does not
 * spend serves the next call.
 */
export function withinShare(need: Need, { ledgerNano, freeNano, waiting }: Available): Need {
  const { preferredNano, boundNano } = need;
  if (freeNano < preferredNano || ledgerNano === undefined) return need;
  const share = Math.floor((ledgerNano + freeNano) / Math.max(4, waiting));
  return { ...need, boundNano: Math.max(preferredNano, Math.min(boundNano, share)) };
}
