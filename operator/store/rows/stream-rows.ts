import type { DatabaseSync } from 'node:sqlite';
import type { KeyName, StreamId } from '../../../core/names.ts';
import { answerSha256, hasAnswer, isEstimated } from '../schema.ts';
import type { EntryRow, EpochRow, StreamRows, UnsettledEpoch } from '../types.ts';

interface EpochColumns {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly key: KeyName;
  readonly instance: string;
  readonly nonce: string;
  readonly state: EpochRow['state'];
  readonly last_seq: number;
  readonly last_mac: string;
  readonly sealed_key: string;
  readonly opened_ms: number;
}

interface EntryColumns {
  readonly position: number;
  readonly stream: StreamId;
  readonly epoch: number;
  readonly seq: number;
  readonly key: KeyName;
  readonly type: string;
  readonly previous_mac: Uint8Array;
  readonly mac: Uint8Array;
  readonly salt: Uint8Array;
  readonly body: Uint8Array;
}

/** Epochs and entries in SQLite. */
export function streamRows(db: DatabaseSync, now: () => number): StreamRows {
  const epoch = db.prepare('SELECT * FROM epochs WHERE stream = ? AND epoch = ?');
  const lastEpoch = db.prepare('SELECT * FROM epochs WHERE stream = ? ORDER BY epoch DESC LIMIT 1');
  const putEpoch = db.prepare(
    'INSERT INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET key = excluded.key, instance = excluded.instance, nonce = excluded.nonce, state = excluded.state, last_seq = excluded.last_seq, last_mac = excluded.last_mac, sealed_key = excluded.sealed_key',
  );
  const epochs = db.prepare('SELECT * FROM epochs ORDER BY stream, epoch');
  const unsettled = db.prepare("SELECT * FROM epochs WHERE state IN ('open', 'quarantined') AND instance = ? ORDER BY stream, epoch");
  const allUnsettled = db.prepare("SELECT * FROM epochs WHERE state IN ('open', 'quarantined') ORDER BY stream, epoch");
  const entry = db.prepare('SELECT * FROM entries WHERE stream = ? AND epoch = ? AND seq = ?');
  const addEntry = db.prepare(
    'INSERT INTO entries (stream, epoch, seq, key, type, previous_mac, mac, salt, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const entries = db.prepare('SELECT * FROM entries WHERE position > ? ORDER BY position LIMIT ?');
  // The same words as in the partial indices, or they are not used.
  const answer = db.prepare(`SELECT * FROM entries WHERE key = ? AND ${answerSha256} = ? AND ${hasAnswer} ORDER BY position DESC LIMIT 1`);
  const estimates = db.prepare(`SELECT * FROM entries WHERE key = ? AND ${isEstimated} ORDER BY position DESC LIMIT ?`);
  const recoveries = db.prepare("SELECT * FROM entries WHERE key = ? AND type = 'epoch_recovered' ORDER BY position");
  const credits = db.prepare("SELECT * FROM entries WHERE type = 'credited' ORDER BY position");
  return {
    epoch: (stream, number) => epochRow(epoch.get(stream, number)),
    lastEpoch: (stream) => epochRow(lastEpoch.get(stream)),
    putEpoch: (row) =>
      void putEpoch.run(row.stream, row.epoch, row.key, row.instance, row.nonce, row.state, row.lastSeq, row.lastMac, row.sealedKey, now()),
    entry: (stream, number, seq) => {
      const columns = entry.get(stream, number, seq) as unknown as EntryColumns | undefined;
      return columns === undefined ? null : storedEntry(columns);
    },
    addEntry: (row) => void addEntry.run(row.stream, row.epoch, row.seq, row.key, row.type, row.previousMac, row.mac, row.salt, row.body),
    entries: (after, max) => (entries.all(after, max) as unknown as EntryColumns[]).map(entryRow),
    estimates: (key, max) => (estimates.all(key, max) as unknown as EntryColumns[]).map(storedEntry).reverse(),
    answer: (key, sha256) => {
      const columns = answer.get(key, sha256) as unknown as EntryColumns | undefined;
      return columns === undefined ? null : storedEntry(columns);
    },
    recoveries: (key) => (recoveries.all(key) as unknown as EntryColumns[]).map(storedEntry),
    credits: () => (credits.all() as unknown as EntryColumns[]).map(storedEntry),
    epochs: () => epochs.all().flatMap((columns) => epochRow(columns) ?? []),
    unsettledEpochs: (instance) =>
      (instance === undefined ? allUnsettled.all() : unsettled.all(instance)).flatMap((columns) => unsettledEpoch(columns) ?? []),
  };
}

function epochRow(found: unknown): EpochRow | null {
  if (found === undefined) return null;
  const { last_seq, last_mac, sealed_key, opened_ms: _, ...rest } = found as EpochColumns;
  return { ...rest, lastSeq: last_seq, lastMac: last_mac, sealedKey: sealed_key };
}

function unsettledEpoch(found: unknown): UnsettledEpoch | null {
  const row = epochRow(found);
  return row && { ...row, openedAtMs: (found as EpochColumns).opened_ms };
}

function storedEntry(columns: EntryColumns): EntryRow {
  const { position: _, ...row } = entryRow(columns);
  return row;
}

function entryRow(columns: EntryColumns): EntryRow & { readonly position: number } {
  const { position, stream, epoch, seq, key, type } = columns;
  return {
    position,
    stream,
    epoch,
    seq,
    key,
    type,
    previousMac: buffer(columns.previous_mac),
    mac: buffer(columns.mac),
    salt: buffer(columns.salt),
    body: buffer(columns.body),
  };
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
