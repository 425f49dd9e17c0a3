import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type ClockJump, forwardClock } from './clock.ts';
import { keyRows } from './key-rows.ts';
import { ledgerRows } from './ledger-rows.ts';
import { schema, schemaVersion } from './schema.ts';
import { streamRows } from './stream-rows.ts';
import type { Store, Tx } from './types.ts';

/** How often another process is looked for: SQLite does not tell. */
const lookMs = 100;
/** Looks that are left out after failures, at most: six seconds. */
const mostResting = 60;

export interface SqliteOptions {
  /** A file, made with mode 0600 where it is missing; its folder must exist. `:memory:` for a store that ends with the process. */
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** The machine's clock jumped: windows go by the store's own time, which never goes back. */
  readonly onClockJump?: (jump: ClockJump) => void;
}

/**
 * The store on SQLite. WAL with synchronous=FULL: a transaction that returned is on the disk. One process writes; others may read.
 * Throws where the file cannot be opened or has tables of another version.
 */
export function openSqliteStore({ path, clock, onClockJump = () => {} }: SqliteOptions): Store {
  const db = openDatabase(path);
  const meta = metaOf(db);
  const incarnation = meta.get('incarnation') ?? '';
  const time = forwardClock(clock, Number(meta.get('clock') ?? 0), onClockJump);
  let markedMs = time.now();
  let nowMs = 0;
  const now = (): number => nowMs;
  const tx: Tx = { keys: keyRows(db), streams: streamRows(db, now), ledger: ledgerRows(db, now), incarnation, now };
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const changes = db.prepare('SELECT total_changes() AS count');
  const dataVersion = db.prepare('PRAGMA data_version');
  /** Another after each commit of another connection, never after one of ours. */
  const version = (): number => (dataVersion.get() as { readonly data_version: number }).data_version;
  const looking: NodeJS.Timeout[] = [];
  const changed = (): number => (changes.get() as { readonly count: number }).count;

  return {
    transaction: (work) => {
      if (db.isTransaction) throw new Error('a transaction is open already: transactions do not nest');
      begin.run();
      try {
        nowMs = time.read();
        const before = changed();
        const result = work(tx);
        if (result instanceof Promise) throw new Error('the work of a transaction may not be asynchronous');
        // Only what was written can bear a time, so reading alone costs no write.
        const mark = nowMs > markedMs && changed() > before;
        if (mark) meta.put('clock', String(nowMs));
        commit.run();
        if (mark) markedMs = nowMs;
        return result;
      } catch (error) {
        if (db.isTransaction) rollback.run();
        throw error;
      }
    },
    onForeignWrite(listener) {
      let seen = version();
      let failures = 0;
      let resting = 0;
      const look = (): void => {
        if (resting > 0) {
          resting -= 1;
          return;
        }
        const now = version();
        if (now === seen) return;
        if (listener()) {
          seen = now;
          failures = 0;
        } else {
          failures += 1;
          resting = Math.min(2 ** failures, mostResting);
        }
      };
      looking.push(setInterval(look, lookMs).unref());
    },
    close: () => {
      for (const timer of looking) clearInterval(timer);
      if (db.isOpen) db.close();
    },
  };
}

function openDatabase(path: string): DatabaseSync {
  // SQLite gives its journal files the mode of the database file.
  if (path !== ':memory:') {
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
  }
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    prepareSchema(db, path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function prepareSchema(db: DatabaseSync, path: string): void {
  db.exec('BEGIN IMMEDIATE');
  db.exec('CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID');
  const meta = metaOf(db);
  const version = Number(meta.get('schema') ?? schemaVersion);
  if (version !== schemaVersion) {
    throw new Error(`${path} has schema version ${version}, this KeyForge knows ${schemaVersion}: use the version that wrote it`);
  }
  db.exec(schema);
  meta.put('schema', String(schemaVersion));
  if (meta.get('incarnation') === null) meta.put('incarnation', randomBytes(6).toString('hex'));
  db.exec('COMMIT');
}

interface Meta {
  get(name: string): string | null;
  put(name: string, value: string): void;
}

function metaOf(db: DatabaseSync): Meta {
  const get = db.prepare('SELECT value FROM meta WHERE name = ?');
  const put = db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value');
  return {
    get: (name) => (get.get(name) as { readonly value: string } | undefined)?.value ?? null,
    put: (name, value) => void put.run(name, value),
  };
}
