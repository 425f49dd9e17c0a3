import type { DatabaseSync } from 'node:sqlite';
import type { PriceRows } from '../types.ts';

/** Prices in force, in SQLite. */
export function priceRows(db: DatabaseSync): PriceRows {
  const state = db.prepare('SELECT state FROM prices WHERE provider = ?');
  const putState = db.prepare('INSERT INTO prices VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state');
  // The same number as for keys: documents are made of both.
  const grow = db.prepare("INSERT INTO meta VALUES ('keys', '1') ON CONFLICT DO UPDATE SET value = value + 1");
  return {
    state: (provider) => (state.get(provider) as { readonly state: string } | undefined)?.state ?? null,
    putState(provider, text) {
      putState.run(provider, text);
      grow.run();
    },
  };
}
