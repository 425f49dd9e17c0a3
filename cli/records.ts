import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CallBody } from '../core/audit/types.ts';

/** Reads recorded calls beside a running KeyForge, without ever writing. */
export interface Records {
  /** Calls stored since the last time this was asked, in storing order. */
  next(): readonly CallBody[];
  close(): void;
}

/** The store's file in a data folder. */
const storeFile = 'keyforge.db';

/** Opens the records of a data folder; empty as long as there is no store. */
export function openRecords(dataDir: string): Records {
  let database: DatabaseSync | undefined;
  let position = 0;

  function open(): DatabaseSync | undefined {
    const path = join(dataDir, storeFile);
    if (database === undefined && existsSync(path)) database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
    return database;
  }

  return {
    next() {
      const rows = open()
        ?.prepare("SELECT position, body FROM entries WHERE position > ? AND type = 'call' ORDER BY position")
        .all(position);
      position = Number(rows?.at(-1)?.['position'] ?? position);
      return (rows ?? []).map((row) => JSON.parse(Buffer.from(row['body'] as Uint8Array).toString('utf8')) as CallBody);
    },
    close: () => database?.close(),
  };
}

/** All calls that a data folder holds. */
export function readCalls(dataDir: string): readonly CallBody[] {
  const records = openRecords(dataDir);
  try {
    return records.next();
  } finally {
    records.close();
  }
}
