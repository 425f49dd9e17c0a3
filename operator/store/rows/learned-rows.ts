import type { DatabaseSync } from 'node:sqlite';
import type { Feature } from '../../../core/price/types.ts';
import type { LearnedRows } from '../types.ts';

interface Columns {
  readonly pool: string;
  readonly model: string;
  readonly feature: Feature;
  readonly percent: number;
  readonly refused: number;
}

/** What bills taught, in SQLite. */
export function learnedRows(db: DatabaseSync): LearnedRows {
  const all = db.prepare('SELECT * FROM learned ORDER BY pool, model, feature');
  const revision = db.prepare("SELECT value FROM meta WHERE name = 'learned'");
  const grow = db.prepare("INSERT INTO meta VALUES ('learned', '1') ON CONFLICT DO UPDATE SET value = value + 1");
  const put = db.prepare(
    `INSERT INTO learned VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET percent = max(percent, excluded.percent), refused = max(refused, excluded.refused)
     WHERE percent < excluded.percent OR refused < excluded.refused`,
  );
  const drop = db.prepare('DELETE FROM learned WHERE pool = ? AND model = ? AND feature = ?');
  return {
    revision: () => Number((revision.get() as { readonly value: string } | undefined)?.value ?? 0),
    all: () => (all.all() as unknown as Columns[]).map(({ refused, ...row }) => ({ ...row, refused: refused === 1 })),
    raise({ pool, model, feature, percent, refused }) {
      if (put.run(pool, model, feature, percent, refused ? 1 : 0).changes > 0) grow.run();
    },
    drop({ pool, model, feature }) {
      const dropped = drop.run(pool, model, feature).changes > 0;
      if (dropped) grow.run();
      return dropped;
    },
  };
}
