/** Version of the tables. A store of another version is refused; before the first release, there are no migrations. */
export const schemaVersion = 3;

/** True for a call that is flagged `estimated`. The text occurs only as a member, because a body is canonical JSON. */
export const isEstimated: string = `type = 'call' AND instr(body, '"estimated":true') > 0`;

/** The SHA-256 of the id of a call's answer, where there is one. */
export const answerSha256: string = `json_extract(CAST(body AS TEXT), '$.answerSha256')`;
export const hasAnswer: string = `type = 'call' AND instr(body, '"answerSha256":"') > 0`;

/**
 * All tables. `grant_accounts` has a row only for each account of each open grant, and finds the holders of an account.
 * The position of an entry is its rowid, which is the storing order.
 */
export const schema: string = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, uid TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, hint TEXT NOT NULL, created_ms INTEGER NOT NULL, valid_until_ms INTEGER, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_key ON tokens (key, created_ms);
CREATE TABLE IF NOT EXISTS children (
  key TEXT PRIMARY KEY, parent TEXT NOT NULL, spec TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER, run TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS prices (provider TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS epochs (
  stream TEXT NOT NULL, epoch INTEGER NOT NULL, key TEXT NOT NULL, instance TEXT NOT NULL, nonce TEXT NOT NULL, state TEXT NOT NULL,
  last_seq INTEGER NOT NULL, last_mac TEXT NOT NULL, sealed_key TEXT NOT NULL, opened_ms INTEGER NOT NULL,
  PRIMARY KEY (stream, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS epochs_unsettled ON epochs (instance) WHERE state IN ('open', 'quarantined');
CREATE TABLE IF NOT EXISTS entries (
  position INTEGER PRIMARY KEY, stream TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL,
  previous_mac BLOB NOT NULL, mac BLOB NOT NULL, salt BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (stream, epoch, seq)
) STRICT;
CREATE INDEX IF NOT EXISTS entries_estimated ON entries (key) WHERE ${isEstimated};
CREATE INDEX IF NOT EXISTS entries_answers ON entries (key, ${answerSha256}) WHERE ${hasAnswer};
CREATE INDEX IF NOT EXISTS entries_recovered ON entries (key) WHERE type = 'epoch_recovered';
CREATE INDEX IF NOT EXISTS entries_credited ON entries (position) WHERE type = 'credited';

CREATE TABLE IF NOT EXISTS accounts (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, window TEXT NOT NULL, start_ms INTEGER NOT NULL, state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS accounts_by_key ON accounts (key, window, start_ms);
CREATE TABLE IF NOT EXISTS grants (
  id TEXT PRIMARY KEY, ask_id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, stream TEXT NOT NULL, epoch INTEGER NOT NULL,
  open INTEGER NOT NULL, accounts TEXT NOT NULL, state TEXT NOT NULL, closed_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS grants_open ON grants (stream, epoch) WHERE open = 1;
CREATE INDEX IF NOT EXISTS grants_closed ON grants (closed_ms) WHERE open = 0;
CREATE TABLE IF NOT EXISTS grant_accounts (
  account TEXT NOT NULL, grant_id TEXT NOT NULL, PRIMARY KEY (account, grant_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learned (
  pool TEXT NOT NULL, model TEXT NOT NULL, feature TEXT NOT NULL, percent INTEGER NOT NULL, refused INTEGER NOT NULL,
  PRIMARY KEY (pool, model, feature)
) STRICT, WITHOUT ROWID;
`;
