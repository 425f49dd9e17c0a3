import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type ClockJump, type ForwardClock, forwardClock } from './clock.ts';
import { ForeignWrites } from './foreign-writes.ts';
import { keyRows } from './rows/key-rows.ts';
import { learnedRows } from './rows/learned-rows.ts';
import { ledgerRows } from './rows/ledger-rows.ts';
import { priceRows } from './rows/price-rows.ts';
import { streamRows } from './rows/stream-rows.ts';
import { schema, schemaVersion } from './schema.ts';
import type { Store, Tx } from './types.ts';

/** How often a store checks for writes of another process. */
const lookMs = 100;

/** The place and the clock of a store. */
interface SqliteOptions {
  /** A file, created with mode 0600 if it is missing; its folder must exist. `:memory:` for a store that ends with the process. */
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Called after a jump of the machine's clock. Windows follow the store's own time, which never goes back. */
  readonly onClockJump?: (jump: ClockJump) => void;
}

/**
 * Opens the store on SQLite. WAL with synchronous=FULL: a transaction that returned is on the disk. One process writes; others
 * may read. Throws if the file cannot be opened or has tables of another version.
 */
export function openSqliteStore(options: SqliteOptions): Store {
  return new SqliteStore(options);
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #meta: Meta;
  readonly #time: ForwardClock;
  readonly #tx: Tx;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #changes: StatementSync;
  readonly #looking: NodeJS.Timeout[] = [];
  /** The time that the file records. */
  #markedMs: number;
  #nowMs = 0;

  constructor({ path, clock, onClockJump = () => {} }: SqliteOptions) {
    const db = openDatabase(path);
    this.#db = db;
    this.#meta = metaOf(db);
    this.#time = forwardClock(clock, Number(this.#meta.get('clock') ?? 0), onClockJump);
    this.#markedMs = this.#time.now();
    const now = (): number => this.#nowMs;
    const incarnation = this.#meta.get('incarnation') ?? '';
    const policy = { keys: keyRows(db), prices: priceRows(db), learned: learnedRows(db) };
    this.#tx = { ...policy, streams: streamRows(db, now), ledger: ledgerRows(db, now), incarnation, now };
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
    this.#changes = db.prepare('SELECT total_changes() AS count');
  }

  transaction<T>(work: (tx: Tx) => T): T {
    if (this.#db.isTransaction) throw new Error('a transaction is open already: transactions do not nest');
    this.#begin.run();
    try {
      this.#nowMs = this.#time.read();
      const before = this.#changed();
      const result = work(this.#tx);
      if (result instanceof Promise) throw new Error('the work of a transaction may not be asynchronous');
      // Record the time only with other writes, so that reading alone costs no write.
      const marks = this.#nowMs > this.#markedMs && this.#changed() > before;
      if (marks) this.#meta.put('clock', String(this.#nowMs));
      this.#commit.run();
      if (marks) this.#markedMs = this.#nowMs;
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#rollback.run();
      throw error;
    }
  }

  onForeignWrite(listener: () => boolean): void {
    const writes = new ForeignWrites(this.#db, listener);
    this.#looking.push(setInterval(() => writes.look(), lookMs).unref());
  }

  close(): void {
    for (const timer of this.#looking) clearInterval(timer);
    if (this.#db.isOpen) this.#db.close();
  }

  /** Number of rows written since the store was opened. */
  #changed(): number {
    return (this.#changes.get() as { readonly count: number }).count;
  }
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
    throw new Error(`${path} has schema version ${version}, but this KeyForge needs ${schemaVersion}: use the version that wrote it`);
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
