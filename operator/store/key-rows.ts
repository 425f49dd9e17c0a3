import type { DatabaseSync } from 'node:sqlite';
import type { KeyName, TokenId } from '../../core/key.ts';
import type { ChildRow, KeyRows, TokenRow } from './types.ts';

interface TokenColumns {
  readonly id: TokenId;
  readonly key: KeyName;
  readonly hint: string;
  readonly created_ms: number;
  readonly valid_until_ms: number | null;
}

interface ChildColumns {
  readonly key: KeyName;
  readonly parent: KeyName;
  readonly spec: string;
  readonly created_ms: number;
  readonly expires_ms: number | null;
}

/** Keys, tokens and sub-agent keys in SQLite. */
export function keyRows(db: DatabaseSync): KeyRows {
  const createdAt = db.prepare('SELECT created_ms FROM keys WHERE key = ?');
  const putCreatedAt = db.prepare('INSERT INTO keys VALUES (?, ?) ON CONFLICT DO UPDATE SET created_ms = excluded.created_ms');
  const names = db.prepare('SELECT key FROM keys ORDER BY key');
  const forget = db.prepare('DELETE FROM keys WHERE key = ?');
  const forgetTokens = db.prepare('DELETE FROM tokens WHERE key = ?');
  const tokens = db.prepare('SELECT * FROM tokens WHERE key = ? ORDER BY created_ms, id');
  const putToken = db.prepare(
    'INSERT INTO tokens VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET key = excluded.key, hint = excluded.hint, created_ms = excluded.created_ms, valid_until_ms = excluded.valid_until_ms',
  );
  const dropToken = db.prepare('DELETE FROM tokens WHERE id = ?');
  const children = db.prepare('SELECT * FROM children ORDER BY created_ms, key');
  const putChild = db.prepare(
    'INSERT INTO children VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET parent = excluded.parent, spec = excluded.spec, created_ms = excluded.created_ms, expires_ms = excluded.expires_ms',
  );
  const dropChild = db.prepare('DELETE FROM children WHERE key = ?');
  return {
    createdAt: (key) => (createdAt.get(key) as { readonly created_ms: number } | undefined)?.created_ms ?? null,
    putCreatedAt: (key, atMs) => void putCreatedAt.run(key, atMs),
    names: () => (names.all() as unknown as { readonly key: KeyName }[]).map(({ key }) => key),
    forget: (key) => {
      forget.run(key);
      forgetTokens.run(key);
    },
    tokens: (key) => (tokens.all(key) as unknown as TokenColumns[]).map(tokenRow),
    putToken: ({ id, key, hint, createdAtMs, validUntilMs }) => void putToken.run(id, key, hint, createdAtMs, validUntilMs ?? null),
    dropToken: (id) => void dropToken.run(id),
    children: () => (children.all() as unknown as ChildColumns[]).map(childRow),
    putChild: ({ key, parent, spec, createdAtMs, expiresAtMs }) => void putChild.run(key, parent, spec, createdAtMs, expiresAtMs ?? null),
    dropChild: (key) => void dropChild.run(key),
  };
}

function tokenRow({ id, key, hint, created_ms, valid_until_ms }: TokenColumns): TokenRow {
  return { id, key, hint, createdAtMs: created_ms, ...(valid_until_ms === null ? {} : { validUntilMs: valid_until_ms }) };
}

function childRow({ key, parent, spec, created_ms, expires_ms }: ChildColumns): ChildRow {
  return { key, parent, spec, createdAtMs: created_ms, ...(expires_ms === null ? {} : { expiresAtMs: expires_ms }) };
}
