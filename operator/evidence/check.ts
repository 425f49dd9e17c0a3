import { formatFinding } from '../../core/audit/finding.ts';
import type { CallBody, Entry, EntryBody, EpochRecoveredBody, PaidFrom } from '../../core/audit/types.ts';
import { Verifier } from '../../core/audit/verify.ts';
import { accountName } from '../../core/budget/account.ts';
import { formatUsd } from '../../core/money.ts';
import { epochId, type KeyName, type StreamId } from '../../core/names.ts';
import { spent } from '../ledger/view.ts';
import type { EntryRow, EpochRow, Store, Tx } from '../store/types.ts';
import { openRow } from './seal.ts';

/** What a check of the whole store found. */
export interface CheckReport {
  /** Entries that are authentic and in their place, spooled ones included. */
  readonly verified: number;
  readonly epochs: number;
  /** What is broken, and where; empty: intact. */
  readonly problems: readonly string[];
  /** What an auditor should know and is not broken. */
  readonly notices: readonly string[];
}

const pageEntries = 1000;

/**
 * Verifies every entry, every epoch's recorded head and every account's sum against the root key. `spooled` are entries that a
 * proxy holds and may not have shipped. Reads in short transactions: the operator may be running.
 */
export function checkStore(store: Store, rootKey: Buffer, spooled: Iterable<Entry>): CheckReport {
  let current: Tx | null = null;
  const verifier = new Verifier(rootKey, ({ stream, epoch }) => current?.streams.epoch(stream, epoch)?.nonce ?? null);
  const audit = createAudit();
  let after = 0;
  let epochs: readonly EpochRow[] | null = null;
  while (epochs === null) {
    epochs = store.transaction((tx) => {
      current = tx;
      const page = tx.streams.entries(after, pageEntries);
      for (const row of page) if (verifier.add(row)) audit.add(tx, row);
      after = page.at(-1)?.position ?? after;
      return page.length === pageEntries ? null : closeBooks(tx, { verifier, audit, rootKey });
    });
  }
  const rows = epochs;
  store.transaction((tx) => {
    current = tx;
    addSpooled(verifier, rows, spooled);
  });
  const problems = [...verifier.findings().map(formatFinding), ...audit.problems];
  return { verified: verifier.verified(), epochs: rows.length, problems, notices: audit.notices };
}

/** Heads and sums, in the transaction that read the last entries: no entry can have come in between. */
function closeBooks(tx: Tx, of: { readonly verifier: Verifier; readonly audit: Audit; readonly rootKey: Buffer }): readonly EpochRow[] {
  const epochs = tx.streams.epochs();
  for (const row of epochs) {
    of.verifier.compareHead({ stream: row.stream, epoch: row.epoch, lastSeq: row.lastSeq, lastMac: Buffer.from(row.lastMac, 'hex') });
  }
  of.audit.compareHeads(epochs, of.rootKey);
  of.audit.compareSums(tx, epochs);
  return epochs;
}

function addSpooled(verifier: Verifier, epochs: readonly EpochRow[], spooled: Iterable<Entry>): void {
  const heads = new Map(epochs.map((row) => [epochId(row), row]));
  for (const entry of spooled) {
    const row = heads.get(epochId(entry));
    if (row === undefined || entry.seq > row.lastSeq) verifier.add(entry);
  }
}

/** What entries say beyond their own chain: of columns, of other epochs, of money. */
interface Audit {
  add(tx: Tx, row: EntryRow): void;
  compareHeads(epochs: readonly EpochRow[], rootKey: Buffer): void;
  compareSums(tx: Tx, epochs: readonly EpochRow[]): void;
  readonly problems: string[];
  readonly notices: string[];
}

function createAudit(): Audit {
  const problems: string[] = [];
  const notices: string[] = [];
  const sums = new Map<KeyName, number>();
  const recovered: { readonly stream: StreamId; readonly body: EpochRecoveredBody }[] = [];
  const funders = new Map<string, readonly KeyName[] | null>();
  /** Ancestors of each stream's key, as its calls name them. */
  const paths = new Map<StreamId, readonly KeyName[]>();

  /** A grant names the accounts that funded it. Null where it was pruned since: then the path that the call names must do. */
  function fundersOf(tx: Tx, grant: string): readonly KeyName[] | null {
    const known = funders.get(grant);
    if (known !== undefined) return known;
    const accounts = tx.ledger.grant(grant)?.accounts.map(accountName);
    const keys = accounts?.flatMap(({ key, window }) => (window === 'Total' ? [key] : [])) ?? null;
    funders.set(grant, keys);
    return keys;
  }

  function charge(tx: Tx, row: EntryRow, paidFrom: readonly PaidFrom[]): void {
    for (const { grant, costNanoUsd } of paidFrom) {
      const keys = fundersOf(tx, grant) ?? [row.key, ...(paths.get(row.stream) ?? [])];
      for (const key of keys) sums.set(key, (sums.get(key) ?? 0) + Number(costNanoUsd));
    }
  }

  return {
    problems,
    notices,
    add(tx, row) {
      const body = JSON.parse(row.body.toString()) as EntryBody;
      const key = 'key' in body ? body.key : 'operator';
      if (body.type !== row.type || key !== row.key) {
        problems.push(`${place(row)} seq ${row.seq}: is filed as ${row.type} of ${row.key} and says ${body.type} of ${key}`);
      }
      if (body.type === 'call') paths.set(row.stream, (body as CallBody).path);
      if (body.type === 'call') charge(tx, row, body.paidFrom);
      if (body.type === 'stream_quarantined') notices.push(`${body.object} was quarantined: ${body.detail['reason']}`);
      if (body.type !== 'epoch_recovered') return;
      recovered.push({ stream: row.stream, body });
      for (const { paidFrom } of body.charges) charge(tx, row, paidFrom);
    },
    compareHeads(epochs, rootKey) {
      const rows = new Map(epochs.map((row) => [place(row), row]));
      for (const row of epochs) {
        if (openRow(row, rootKey) === null) problems.push(`${place(row)}: its recorded head was altered, or sealed under another root key`);
        if (row.epoch > 1 && !rows.has(place({ ...row, epoch: row.epoch - 1 }))) {
          problems.push(`${place({ ...row, epoch: row.epoch - 1 })}: the whole epoch was removed`);
        }
      }
      for (const { stream, body } of recovered) {
        const row = rows.get(place({ stream, epoch: body.recoveredEpoch }));
        if (row === undefined || row.state === 'quarantined' || row.lastSeq >= body.lastSeq) continue;
        problems.push(`${place(row)}: truncated at seq ${row.lastSeq}, its proxy recovered it up to seq ${body.lastSeq}`);
      }
    },
    compareSums(tx, epochs) {
      for (const key of new Set([...sums.keys(), ...epochs.map((row) => row.key)])) {
        const [entries, account] = [sums.get(key) ?? 0, spent(tx, key)];
        if (entries === account) continue;
        problems.push(`account of ${key}: $${formatUsd(account)} settled, and its entries come to $${formatUsd(entries)}`);
      }
    },
  };
}

function place({ stream, epoch }: { readonly stream: StreamId; readonly epoch: number }): string {
  return `${stream} epoch ${epoch}`;
}
