import type { RecordedBreach } from '../../core/audit/types.ts';
import type { Learned } from '../../core/price/types.ts';
import type { LearnedRow, Tx } from '../store/types.ts';

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
