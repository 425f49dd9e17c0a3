import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CallBody } from '../../core/audit/types.ts';

/** Recorded calls of a data folder, read while another process writes them. It never writes. */
interface RecordedCalls {
  /** Calls stored since the previous read, in storing order. */
  next(): readonly CallBody[];
  close(): void;
}

/** Opens the recorded calls of a data folder; there are none while there is no store. */
export function openCalls(dataDir: string): RecordedCalls {
  const path = join(dataDir, 'keyforge.db');
  let database: DatabaseSync | undefined;
  let position = 0;
  return {
    next() {
      if (database === undefined && existsSync(path)) database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
      const rows = database
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
  const calls = openCalls(dataDir);
  try {
    return calls.next();
  } finally {
    calls.close();
  }
}
