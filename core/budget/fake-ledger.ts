import { type Account, accountName } from './account.ts';
import type { BookedGrant, Ledger } from './ledger.ts';

/** A ledger in two maps, for tests. */
export function fakeLedger(): Ledger & {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly grants: ReadonlyMap<string, BookedGrant>;
} {
  const accounts = new Map<string, Account>();
  const grants = new Map<string, BookedGrant>();
  const open = (): readonly BookedGrant[] => [...grants.values()].filter((grant) => grant.open);
  return {
    accounts,
    grants,
    account: (id) => accounts.get(id) ?? null,
    newestAccount: (key, window) => {
      const found = [...accounts]
        .map(([id, account]) => ({ ...accountName(id), account }))
        .filter((row) => row.key === key && row.window === window)
        .sort((a, b) => b.startMs - a.startMs);
      return found[0] ?? null;
    },
    putAccount: (id, account) => void accounts.set(id, account),
    grant: (id) => grants.get(id) ?? null,
    putGrant: (grant) => void grants.set(grant.id, grant),
    openGrants: (stream, epoch) => open().filter((grant) => grant.stream === stream && grant.epoch === epoch),
    holders: (id) => open().filter((grant) => grant.accounts.includes(id)),
  };
}
