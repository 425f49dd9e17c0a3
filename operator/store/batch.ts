import type { Store, Tx } from './types.ts';

/** Work that waits for the store. Work that waits together shares one transaction, and so one fsync. */
export interface Batch {
  /**
   * Runs `work` in a transaction soon, after all earlier work. Resolves when it is durable. `work` may run twice: if one
   * piece throws, the transaction is rolled back and each piece runs again alone.
   */
  run<T>(work: (tx: Tx) => T): Promise<T>;
}

interface Piece {
  readonly work: (tx: Tx) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Keeps one transaction, and so the wait of the next caller, within milliseconds. */
const maxPieces = 64;

/** Makes a batch over a store. */
export function createBatch(store: Pick<Store, 'transaction'>): Batch {
  let waiting: Piece[] = [];

  function flush(): void {
    const pieces = waiting.slice(0, maxPieces);
    waiting = waiting.slice(maxPieces);
    if (waiting.length > 0) setImmediate(flush);
    try {
      const values = store.transaction((tx) => pieces.map(({ work }) => work(tx)));
      for (const [index, { resolve }] of pieces.entries()) resolve(values[index]);
    } catch (error) {
      if (pieces.length === 1) pieces[0]?.reject(error);
      else for (const piece of pieces) runAlone(piece);
    }
  }

  function runAlone({ work, resolve, reject }: Piece): void {
    try {
      resolve(store.transaction(work));
    } catch (error) {
      reject(error);
    }
  }

  return {
    run: <T>(work: (tx: Tx) => T) =>
      new Promise<T>((resolve, reject) => {
        // The cast ties the value of this work to its own promise.
        waiting.push({ work, resolve: resolve as Piece['resolve'], reject });
        if (waiting.length === 1) setImmediate(flush);
      }),
  };
}
