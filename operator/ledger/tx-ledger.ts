import { accountName } from '../../core/budget/account.ts';
import type { BookedGrant, Ledger } from '../../core/budget/ledger.ts';
import type { Tx } from '../store/types.ts';

/** The ledger over one transaction's rows, for one step that changes grants through it alone: each grant is read once. */
export function ledgerOf({ ledger: rows }: Tx): Ledger {
  const grants = new Map<string, BookedGrant>();
  return {
    account: (id) => rows.account(id)?.account ?? null,
    newestAccount: (key, window) => rows.newestAccount(key, window),
    putAccount: (id, account) => rows.putAccount({ id, ...accountName(id), account }),
    grant: (id) => {
      const known = grants.get(id);
      if (known !== undefined) return known;
      const grant = rows.grant(id);
      if (grant !== null) grants.set(id, grant);
      return grant;
    },
    putGrant: (grant) => {
      grants.set(grant.id, grant);
      rows.putGrant(grant);
    },
    openGrants: (stream, epoch) => rows.openGrants(stream, epoch),
    holders: (id) => rows.holders(id),
  };
}
