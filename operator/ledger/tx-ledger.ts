import { accountName } from '../../core/budget/account.ts';
import type { BookedGrant, Ledger } from '../../core/budget/ledger.ts';
import type { Tx } from '../store/types.ts';

/** Makes a ledger over one transaction's rows, which reads each grant once. During its use, nothing else may change grants. */
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
