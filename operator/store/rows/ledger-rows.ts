import type { DatabaseSync } from 'node:sqlite';
import type { BookedGrant } from '../../../core/budget/ledger.ts';
import type { GrantId, KeyName, StreamId } from '../../../core/names.ts';
import { readAccount, readGrant, writeAccount, writeGrant } from '../ledger-codec.ts';
import type { AccountRow, ClosedGrant, LedgerRows } from '../types.ts';

interface AccountColumns {
  readonly id: string;
  readonly key: KeyName;
  readonly window: string;
  readonly start_ms: number;
  readonly state: string;
}

interface GrantColumns {
  readonly id: GrantId;
  readonly ask_id: string;
  readonly key: KeyName;
  readonly stream: StreamId;
  readonly epoch: number;
  readonly open: number;
  readonly accounts: string;
  readonly state: string;
}

interface ClosedGrantColumns extends GrantColumns {
  readonly closed_ms: number;
}

interface OpenEpoch {
  readonly epoch: number;
  readonly grants: number;
}

/** Accounts and grants in SQLite; `now` dates the closing of grants, for pruning. */
export function ledgerRows(db: DatabaseSync, now: () => number): LedgerRows {
  return { ...accountRows(db), ...grantRows(db, now), prune: pruner(db) };
}

function accountRows(db: DatabaseSync): Pick<LedgerRows, 'account' | 'putAccount' | 'accountsSince' | 'newestAccount'> {
  const byId = db.prepare('SELECT * FROM accounts WHERE id = ?');
  const putAccount = db.prepare('INSERT INTO accounts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state');
  const since = db.prepare(
    "SELECT * FROM accounts WHERE window = 'Total' OR (window <> 'Minute' AND start_ms >= ?) ORDER BY key, window, start_ms",
  );
  const newest = db.prepare('SELECT * FROM accounts WHERE key = ? AND window = ? ORDER BY start_ms DESC LIMIT 1');
  return {
    account: (id) => accountRow(byId.get(id)),
    putAccount: ({ id, key, window, startMs, account }) => void putAccount.run(id, key, window, startMs, writeAccount(account)),
    accountsSince: (startMs) => since.all(startMs).flatMap((columns) => accountRow(columns) ?? []),
    newestAccount: (key, window) => accountRow(newest.get(key, window)),
  };
}

function grantRows(
  db: DatabaseSync,
  now: () => number,
): Pick<LedgerRows, 'grant' | 'grantByAsk' | 'putGrant' | 'openGrants' | 'openEpochs' | 'holders' | 'closedGrants'> {
  const grant = db.prepare('SELECT * FROM grants WHERE id = ?');
  const grantByAsk = db.prepare('SELECT * FROM grants WHERE ask_id = ?');
  const change = db.prepare('UPDATE grants SET open = ?, state = ?, closed_ms = coalesce(closed_ms, ?) WHERE id = ?');
  const add = db.prepare('INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const link = db.prepare('INSERT INTO grant_accounts VALUES (?, ?)');
  const unlink = db.prepare('DELETE FROM grant_accounts WHERE account = ? AND grant_id = ?');
  const openGrants = db.prepare('SELECT * FROM grants WHERE stream = ? AND epoch = ? AND open = 1 ORDER BY id');
  const openEpochs = db.prepare('SELECT epoch, count(*) AS grants FROM grants WHERE stream = ? AND open = 1 GROUP BY epoch ORDER BY epoch');
  const holders = db.prepare(
    'SELECT grants.* FROM grant_accounts JOIN grants ON grants.id = grant_accounts.grant_id WHERE account = ? ORDER BY grants.id',
  );
  const closedGrants = db.prepare('SELECT * FROM grants WHERE key = ? AND open = 0 ORDER BY closed_ms, id');
  return {
    grant: (id) => grantRow(grant.get(id)),
    grantByAsk: (askId) => grantRow(grantByAsk.get(askId)),
    putGrant: (booked) => {
      const { id, askId, key, stream, epoch, open, accounts } = booked;
      const state = writeGrant(booked);
      const flag = open ? 1 : 0;
      const closedMs = open ? null : now();
      const known = change.run(flag, state, closedMs, id).changes > 0;
      if (!known) add.run(id, askId, key, stream, epoch, flag, JSON.stringify(accounts), state, closedMs);
      if (open && !known) for (const account of accounts) link.run(account, id);
      if (!open && known) for (const account of accounts) unlink.run(account, id);
    },
    openGrants: (stream, epoch) => openGrants.all(stream, epoch).flatMap((columns) => grantRow(columns) ?? []),
    openEpochs: (stream) => (openEpochs.all(stream) as unknown as OpenEpoch[]).map(({ epoch, grants }) => ({ epoch, grants })),
    holders: (account) => holders.all(account).flatMap((columns) => grantRow(columns) ?? []),
    closedGrants: (key) => (closedGrants.all(key) as unknown as ClosedGrantColumns[]).map(closedGrant),
  };
}

function pruner(db: DatabaseSync): LedgerRows['prune'] {
  const grants = db.prepare('DELETE FROM grants WHERE open = 0 AND closed_ms < ?');
  // Keep the newest minute, because it carries token debt forward.
  const minutes = db.prepare(
    "DELETE FROM accounts WHERE window = 'Minute' AND start_ms < ? AND start_ms < (SELECT max(start_ms) FROM accounts AS other WHERE other.key = accounts.key AND other.window = 'Minute')",
  );
  return (beforeMs) => {
    grants.run(beforeMs);
    minutes.run(beforeMs);
  };
}

function accountRow(found: unknown): AccountRow | null {
  if (found === undefined) return null;
  const { id, key, window, start_ms, state } = found as AccountColumns;
  return { id, key, window, startMs: start_ms, account: readAccount(state) };
}

function grantRow(found: unknown): BookedGrant | null {
  return found === undefined ? null : bookedGrant(found as GrantColumns);
}

function closedGrant(columns: ClosedGrantColumns): ClosedGrant {
  return { ...bookedGrant(columns), closedAtMs: columns.closed_ms };
}

function bookedGrant({ id, ask_id, key, stream, epoch, open, accounts, state }: GrantColumns): BookedGrant {
  const taken = JSON.parse(accounts) as readonly string[];
  return { id, askId: ask_id, key, stream, epoch, open: open === 1, accounts: taken, ...readGrant(state) };
}
