import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CallBody, EpochRecoveredBody, RefusalGroup, RefusalsBody } from '../../core/audit/types.ts';

/** An entry of calls: of one, of refusals that were counted, or of a recovery, which may count some. */
export type RecordedCalls = CallBody | RefusalsBody | EpochRecoveredBody;

/** The entries of calls in a data folder, read while another process writes them. It never writes. */
interface CallRecords {
  /** Entries stored since the previous read, in storing order. */
  next(): readonly RecordedCalls[];
  close(): void;
}

/** Opens the entries of calls in a data folder; there are none while there is no store. */
export function openCalls(dataDir: string): CallRecords {
  const path = join(dataDir, 'keyforge.db');
  let database: DatabaseSync | undefined;
  let position = 0;
  return {
    next() {
      if (database === undefined && existsSync(path)) database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
      const rows = database
        ?.prepare(
          "SELECT position, body FROM entries WHERE position > ? AND type IN ('call', 'refusals', 'epoch_recovered') ORDER BY position",
        )
        .all(position);
      position = Number(rows?.at(-1)?.['position'] ?? position);
      return (rows ?? []).map((row) => JSON.parse(Buffer.from(row['body'] as Uint8Array).toString('utf8')) as RecordedCalls);
    },
    close: () => database?.close(),
  };
}

/** All entries of calls that a data folder holds. */
export function readRecords(dataDir: string): readonly RecordedCalls[] {
  const calls = openCalls(dataDir);
  try {
    return calls.next();
  } finally {
    calls.close();
  }
}

/** All calls of a data folder that have an entry each. */
export function readCalls(dataDir: string): readonly CallBody[] {
  return readRecords(dataDir).filter((record) => record.type === 'call');
}

/** The refusals that an entry counts, beside calls that have an entry each. */
export function countedRefusals(record: RecordedCalls): readonly RefusalGroup[] {
  if (record.type === 'refusals') return [record];
  return record.type === 'epoch_recovered' ? (record.refusals ?? []) : [];
}
