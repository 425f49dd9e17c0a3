import type { Logger } from 'pino';
import { type KeyName, type PoolName, storedKey, storedPool } from '../../core/names.ts';
import { createQueue, type Queue, type QueueOptions } from '../kube/queue.ts';
import type { Woken } from './wakes.ts';

const concurrency = 8;
const backOff = { firstMs: 250, maxMs: 60_000 };

/** Reconciles one object. Resolves with the time of its next reconciliation, if there is one. */
type Reconcile<Name> = (name: Name) => Promise<{ readonly againInMs?: number }>;

/** The reconcilers of one term. */
export interface Reconcilers {
  readonly keys: Reconcile<KeyName>;
  readonly pools: Reconcile<PoolName>;
}

/** Counts of reconciliations and failures. */
interface QueueCounters {
  reconciles: number;
  failures: number;
}

/** The queues of keys and of pools. Each term has new ones; closed at first. */
export class Queues {
  readonly #counters: QueueCounters;
  readonly #logger: Logger;
  #opened: { readonly keys: Queue; readonly pools: Queue } | null = null;

  constructor(counters: QueueCounters, logger: Logger) {
    this.#counters = counters;
    this.#logger = logger;
  }

  get isOpen(): boolean {
    return this.#opened !== null;
  }

  /** Opens both queues, empty. */
  open({ keys, pools }: Reconcilers): void {
    this.#opened = { keys: this.#queueOf((name) => keys(storedKey(name))), pools: this.#queueOf((name) => pools(storedPool(name))) };
  }

  /** Adds objects. If the queues are closed, it does nothing: a new term reconciles everything. */
  add({ keys = [], pools = [] }: Pick<Woken, 'keys' | 'pools'>): void {
    for (const key of keys) this.#opened?.keys.add(key);
    for (const pool of pools) this.#opened?.pools.add(pool);
  }

  /** Starts no more work; settles when running work has ended. */
  async close(): Promise<void> {
    const closing = this.#opened;
    this.#opened = null;
    await Promise.all([closing?.keys.close(), closing?.pools.close()]);
  }

  #queueOf(work: QueueOptions['work']): Queue {
    const counters = this.#counters;
    return createQueue({
      work(name) {
        counters.reconciles += 1;
        return work(name);
      },
      concurrency,
      backOff,
      logger: this.#logger,
      onError() {
        counters.failures += 1;
      },
    });
  }
}
