import { formatFinding } from '../../core/audit/finding.ts';
import type { Entry, EntryBody, EpochRecoveredBody } from '../../core/audit/types.ts';
import { Verifier } from '../../core/audit/verify.ts';
import { epochId, operatorKey, type StreamId } from '../../core/names.ts';
import type { EntryRow, EpochRow, Store, Tx } from '../store/types.ts';
import { AccountCheck } from './check-accounts.ts';
import { openRow } from './seal.ts';

/** The result of a check of the whole store. */
export interface CheckReport {
  /** Number of entries that are authentic and in their place, spooled ones included. */
  readonly verified: number;
  readonly epochs: number;
  /** What is broken, and where. Empty: the store is intact. */
  readonly problems: readonly string[];
  /** What an auditor should know although nothing is broken. */
  readonly notices: readonly string[];
}

const pageEntries = 1000;

/**
 * Verifies every entry, the recorded head of every epoch, and every account's sum, against the root key. `spooled`: entries
 * of a proxy that it may not have shipped. It reads in short transactions, because the operator may be running.
 */
export function checkStore(store: Store, rootKey: Buffer, spooled: Iterable<Entry>): CheckReport {
  const checks = { records: new RecordCheck(), accounts: new AccountCheck() };
  let current: Tx | null = null;
  const verifier = new Verifier(rootKey, ({ stream, epoch }) => current?.streams.epoch(stream, epoch)?.nonce ?? null);

  /** Checks one page. The last page also checks heads and accounts in its transaction, so that no entry can arrive in between. */
  function checkPage(tx: Tx, after: number): Page {
    current = tx;
    const rows = tx.streams.entries(after, pageEntries);
    for (const row of rows) if (verifier.add(row)) addBody(tx, row, checks);
    if (rows.length === pageEntries) return { last: rows.at(-1)?.position ?? after };
    const epochs = tx.streams.epochs();
    for (const row of epochs) verifier.compareHead({ ...row, lastMac: Buffer.from(row.lastMac, 'hex') });
    checks.records.compareHeads(epochs, rootKey);
    return { epochs, problems: checks.accounts.problems(tx, epochs) };
  }

  let page: Page = { last: 0 };
  while ('last' in page) {
    const after: number = page.last;
    page = store.transaction((tx) => checkPage(tx, after));
  }
  const { epochs, problems } = page;
  store.transaction((tx) => {
    current = tx;
    addSpooled(verifier, epochs, spooled);
  });
  return {
    verified: verifier.verified(),
    epochs: epochs.length,
    problems: [...verifier.findings().map(formatFinding), ...checks.records.problems, ...problems],
    notices: checks.records.notices,
  };
}

/** The position of a page's last entry; or, after the last page, the result for heads and accounts. */
type Page = { readonly last: number } | { readonly epochs: readonly EpochRow[]; readonly problems: readonly string[] };

function addBody(tx: Tx, row: EntryRow, { records, accounts }: { readonly records: RecordCheck; readonly accounts: AccountCheck }): void {
  const body = JSON.parse(row.body.toString()) as EntryBody;
  records.add(row, body);
  accounts.add(tx, row, body);
}

function addSpooled(verifier: Verifier, epochs: readonly EpochRow[], spooled: Iterable<Entry>): void {
  const heads = new Map(epochs.map((row) => [epochId(row), row]));
  for (const entry of spooled) {
    const row = heads.get(epochId(entry));
    if (row === undefined || entry.seq > row.lastSeq) verifier.add(entry);
  }
}

/** Checks entries beyond their own chain: against their columns, and against other epochs. */
class RecordCheck {
  readonly problems: string[] = [];
  readonly notices: string[] = [];
  readonly #recovered: { readonly stream: StreamId; readonly body: EpochRecoveredBody }[] = [];

  add(row: EntryRow, body: EntryBody): void {
    const key = 'key' in body ? body.key : operatorKey;
    if (body.type !== row.type || key !== row.key) {
      this.problems.push(`${place(row)} seq ${row.seq}: is filed as ${row.type} of ${row.key} and says ${body.type} of ${key}`);
    }
    if (body.type === 'stream_quarantined') this.notices.push(`${body.object} was quarantined: ${body.detail['reason']}`);
    if (body.type === 'epoch_recovered') this.#recovered.push({ stream: row.stream, body });
  }

  compareHeads(epochs: readonly EpochRow[], rootKey: Buffer): void {
    const rows = new Map(epochs.map((row) => [epochId(row), row]));
    for (const row of epochs) {
      if (openRow(row, rootKey) === null) {
        this.problems.push(`${place(row)}: its recorded head was altered, or sealed under another root key`);
      }
      const previous = { stream: row.stream, epoch: row.epoch - 1 };
      if (row.epoch > 1 && !rows.has(epochId(previous))) this.problems.push(`${place(previous)}: the whole epoch was removed`);
    }
    for (const { stream, body } of this.#recovered) {
      const row = rows.get(epochId({ stream, epoch: body.recoveredEpoch }));
      if (row === undefined || row.state === 'quarantined' || row.lastSeq >= body.lastSeq) continue;
      this.problems.push(`${place(row)}: truncated at seq ${row.lastSeq}, its proxy recovered it up to seq ${body.lastSeq}`);
    }
  }
}

function place({ stream, epoch }: { readonly stream: StreamId; readonly epoch: number }): string {
  return `${stream} epoch ${epoch}`;
}
