import type { NanoUsd } from '../../core/money.ts';
import type { AccountRow, Tx } from '../store/types.ts';
import { ledgerOf } from './tx-ledger.ts';
import { settledOf } from './view.ts';

/** Closed grants stay for this time by the store's clock, so that a late entry can still settle. Then they are pruned. */
export const keepClosedGrantsMs: number = 30 * 86_400_000;

/** What was spent from one account according to the ledger, open grants included. */
export interface SettledAccount extends Pick<AccountRow, 'id' | 'key' | 'window' | 'startMs'> {
  readonly nano: NanoUsd;
}

/**
 * Accounts whose sum the entries can show, by key, window and start: the lifetime accounts, and those of windows so recent that
 * no grant is pruned. Accounts of minutes are omitted: there are many, and they limit no money.
 */
export function settledAccounts(tx: Tx): readonly SettledAccount[] {
  const ledger = ledgerOf(tx);
  return tx.ledger.accountsSince(tx.now() - keepClosedGrantsMs).map(({ id, key, window, startMs, account }) => {
    return { id, key, window, startMs, nano: settledOf(ledger, id, account).nano };
  });
}
