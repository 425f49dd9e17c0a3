import type { RecordedBreach } from '../../core/audit/types.ts';
import type { PoolName } from '../../core/names.ts';
import type { Feature, Learned } from '../../core/price/types.ts';
import type { RecordEvent } from '../evidence/own-stream.ts';
import type { LearnedRow, Store, Tx } from '../store/types.ts';

/** Keeps what a bill above its bound taught, of its own pool, model and features only. */
export function learn(tx: Tx, { pool, model, features, percent, possible }: RecordedBreach): void {
  for (const feature of features) tx.learned.raise({ pool, model, feature, percent: possible ? percent : 100, refused: !possible });
}

/** What bills have taught about each pool's models, by upstream name. */
export function learnedByPool(tx: Tx): ReadonlyMap<string, Readonly<Record<string, Learned>>> {
  const pools = Map.groupBy(tx.learned.all(), ({ pool }) => pool);
  return new Map([...pools].map(([pool, rows]) => [pool, byModel(rows)]));
}

function byModel(rows: readonly LearnedRow[]): Readonly<Record<string, Learned>> {
  return Object.fromEntries([...Map.groupBy(rows, ({ model }) => model)].map(([model, taught]) => [model, learnedFrom(taught)]));
}

function learnedFrom(rows: readonly LearnedRow[]): Learned {
  const widened = rows.filter(({ percent }) => percent > 100);
  return {
    percent: Object.fromEntries(widened.map(({ feature, percent }) => [feature, percent])),
    refused: rows.filter(({ refused }) => refused).map(({ feature }) => feature),
  };
}

/** Which lessons to clear; absent: all of the pool. */
interface Lessons {
  readonly pool: PoolName;
  readonly model?: string | undefined;
  readonly feature?: Feature | undefined;
}

/** What an administrator can do with what bills above their bound have taught. */
export interface BoundDesk {
  /** Every widened bound and every refused feature. */
  learned(): readonly LearnedRow[];
  /** Clears these lessons, and records who did and why. Returns them; empty if there are none. */
  acknowledge(lessons: Lessons, by: { readonly actor: string; readonly reason: string }): readonly LearnedRow[];
}

interface BoundDeskDeps {
  readonly store: Store;
  readonly record: RecordEvent;
  /** Called after a change, so that documents lose what was cleared. */
  readonly onChange: () => void;
}

/** Makes the desk over the store's lessons. */
export function createBoundDesk({ store, record, onChange }: BoundDeskDeps): BoundDesk {
  return {
    learned: () => store.transaction((tx) => tx.learned.all()),
    acknowledge({ pool, model, feature }, { actor, reason }) {
      const cleared = store.transaction((tx) => {
        const rows = tx.learned
          .all()
          .filter(
            (row) =>
              row.pool === pool && (model === undefined || row.model === model) && (feature === undefined || row.feature === feature),
          );
        for (const row of rows) tx.learned.drop(row);
        const lessons = rows.map((row) => `${row.model} ${row.feature}`).join(', ');
        if (rows.length > 0) record(tx, { type: 'bound_acknowledged', object: `ProviderPool ${pool}`, actor, detail: { lessons, reason } });
        return rows;
      });
      if (cleared.length > 0) onChange();
      return cleared;
    },
  };
}
