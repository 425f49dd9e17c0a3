import type { PoolName } from '../names.ts';
import type { PoolDocument } from '../policy/documents.ts';
import type { Push, Snapshot } from './snapshot.ts';

/** A pool whose prices have not changed since this watch last sent it. */
type UnpricedPool = Omit<PoolDocument, 'models' | 'book'>;

/** A push on the wire. Price books are nine tenths of a snapshot and change once a day, so a watch sends each only once. */
export type SentPush = Exclude<Push, Snapshot> | (Omit<Snapshot, 'pools'> & { readonly pools: readonly (PoolDocument | UnpricedPool)[] });

/** JSON text by document: many proxies receive the same document, so its text is made once. */
const texts = new WeakMap<PoolDocument, string>();

/** Makes the writer of one watch, which omits prices that the reader already has. Send everything it writes, in order. */
export function pushWriter(): (push: Push) => string {
  const sent = new Map<PoolName, string>();

  function poolText(pool: PoolDocument): string {
    if (sent.get(pool.pool) === pool.priceBookDigest) {
      const { models: _, book: __, ...rest } = pool;
      return JSON.stringify(rest);
    }
    sent.set(pool.pool, pool.priceBookDigest);
    const text = texts.get(pool) ?? JSON.stringify(pool);
    texts.set(pool, text);
    return text;
  }

  return (push) => {
    if (push.kind !== 'snapshot') return JSON.stringify(push);
    const { pools, ...rest } = push;
    return `${JSON.stringify(rest).slice(0, -1)},"pools":[${pools.map(poolText).join(',')}]}`;
  };
}

/** Makes the reader of what a `pushWriter` writes. */
export function pushReader(): (push: SentPush) => Push {
  const known = new Map<PoolName, Pick<PoolDocument, 'models' | 'book'>>();
  return (push) => {
    if (push.kind !== 'snapshot') return push;
    const pools = push.pools.map((pool): PoolDocument => {
      if ('book' in pool) return pool;
      const prices = known.get(pool.pool);
      if (prices === undefined) throw new Error(`the operator left out the prices of ${pool.pool}, which it never sent`);
      return { ...pool, ...prices };
    });
    for (const { pool, models, book } of pools) known.set(pool, { models, book });
    return { ...push, pools };
  };
}
