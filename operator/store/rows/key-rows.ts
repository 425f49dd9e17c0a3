import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { KeyName, TokenId } from '../../../core/names.ts';
import type { ChildSpec } from '../../../core/protocol/children.ts';
import type { ChildRow, KeyRows, TokenRow } from '../types.ts';

interface TokenColumns {
  readonly id: TokenId;
  readonly key: KeyName;
  readonly hint: string;
  readonly created_ms: number;
  readonly valid_until_ms: number | null;
  readonly sealed: Uint8Array;
}

interface ChildColumns {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: string;
  readonly created_ms: number;
  readonly expires_ms: number | null;
  readonly run: string | null;
}

/** Keys, tokens and sub-agent keys in SQLite. */
export function keyRows(db: DatabaseSync): KeyRows {
  const revision = db.prepare("SELECT value FROM meta WHERE name = 'keys'");
  const grow = db.prepare("INSERT INTO meta VALUES ('keys', '1') ON CONFLICT DO UPDATE SET value = value + 1");
  const createdAt = db.prepare('SELECT created_ms FROM keys WHERE key = ?');
  const uid = db.prepare('SELECT uid FROM keys WHERE key = ?');
  const putCreatedAt = db.prepare(
    'INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET created_ms = excluded.created_ms, uid = coalesce(excluded.uid, uid)',
  );
  const names = db.prepare('SELECT key FROM keys ORDER BY key');
  const forget = db.prepare('DELETE FROM keys WHERE key = ?');
  const forgetTokens = db.prepare('DELETE FROM tokens WHERE key = ?');
  const tokens = db.prepare('SELECT * FROM tokens WHERE key = ? ORDER BY created_ms, id');
  const putToken = db.prepare(
    'INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET valid_until_ms = excluded.valid_until_ms',
  );
  const dropToken = db.prepare('DELETE FROM tokens WHERE id = ?');
  const children = db.prepare('SELECT * FROM children ORDER BY created_ms, key');
  const putChild = db.prepare(
    'INSERT INTO children VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET parent = excluded.parent, spec = excluded.spec, created_ms = excluded.created_ms, expires_ms = excluded.expires_ms, run = excluded.run',
  );
  const dropChild = db.prepare('DELETE FROM children WHERE key = ?');
  const write = (statement: StatementSync, ...values: readonly SQLInputValue[]): void => {
    statement.run(...values);
    grow.run();
  };
  return {
    revision: () => Number((revision.get() as { readonly value: string } | undefined)?.value ?? 0),
    createdAt: (key) => (createdAt.get(key) as { readonly created_ms: number } | undefined)?.created_ms ?? null,
    uid: (key) => (uid.get(key) as { readonly uid: string | null } | undefined)?.uid ?? null,
    putCreatedAt: (key, atMs, objectUid) => write(putCreatedAt, key, atMs, objectUid ?? null),
    names: () => (names.all() as unknown as { readonly key: KeyName }[]).map(({ key }) => key),
    forget: (key) => {
      write(forget, key);
      write(forgetTokens, key);
    },
    tokens: (key) => (tokens.all(key) as unknown as TokenColumns[]).map(tokenRow),
    putToken: ({ id, key, hint, createdAtMs, validUntilMs, sealed }) =>
      write(putToken, id, key, hint, createdAtMs, validUntilMs ?? null, sealed),
    dropToken: (id) => write(dropToken, id),
    children: () => (children.all() as unknown as ChildColumns[]).map(childRow),
    putChild: ({ key, parent, spec, createdAtMs, expiresAtMs, run }) =>
      write(putChild, key, parent, JSON.stringify(spec), createdAtMs, expiresAtMs ?? null, run ?? null),
    dropChild: (key) => write(dropChild, key),
  };
}

function tokenRow({ id, key, hint, created_ms, valid_until_ms, sealed }: TokenColumns): TokenRow {
  const row = { id, key, hint, createdAtMs: created_ms, sealed: Buffer.from(sealed) };
  return valid_until_ms === null ? row : { ...row, validUntilMs: valid_until_ms };
}

function childRow({ key, parent, spec, created_ms, expires_ms, run }: ChildColumns): ChildRow {
  return {
    key,
    parent,
    spec: JSON.parse(spec) as ChildSpec,
    createdAtMs: created_ms,
    ...(expires_ms === null ? {} : { expiresAtMs: expires_ms }),
    ...(run === null ? {} : { run }),
  };
}
