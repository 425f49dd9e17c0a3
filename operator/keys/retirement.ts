import type { Logger } from 'pino';
import { childPartOf, operatorKey } from '../../core/names.ts';
import type { RecordEvent } from '../evidence/own-stream.ts';
import { abandonedEvent } from '../evidence/supersede.ts';
import { abandon } from '../ledger/ledger.ts';
import type { ChildRow, EpochRow, Tx } from '../store/types.ts';
import { runIdOf } from './children.ts';
import { endChild } from './lifecycle.ts';
import type { Registry } from './registry.ts';

/** Ends proxies whose Pod is gone and that have not closed their streams. */
export interface Retirement {
  /**
   * Burns and reports what the proxy of the Pod with this uid held, and ends its run. The ledger charges late entries to
   * what burned.
   */
  retire(instance: string): void;
  /**
   * Retires every proxy and run except those of these Pods and Jobs, by uid, and except those that began in the last five
   * minutes: their Pods may be too new for the caller's list.
   */
  retireAllBut(living: ReadonlySet<string>): void;
}

/** What retirement needs. */
interface RetirementDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  /** Called when money may have been released. */
  readonly onRelease: () => void;
  readonly onAlarm: (alarm: 'burned') => void;
  readonly logger: Logger;
}

/** Longer than the lag at which the operator still trusts its watch of Pods. */
const newMs = 300_000;

/** The epochs and runs to end. */
interface Gone {
  readonly epochs: readonly EpochRow[];
  isGone(run: ChildRow): boolean;
}

/** Makes retirement over the registry. Before the first policy is adopted it does nothing; a later call finds what is gone. */
export function createRetirement({ registry, record, onRelease, onAlarm, logger }: RetirementDeps): Retirement {
  function burn(tx: Tx, row: EpochRow): void {
    const burned = abandon(tx, row.stream, row.epoch);
    if (row.state === 'open') tx.streams.putEpoch({ ...row, state: 'abandoned' });
    if (burned.length === 0 && (row.state !== 'open' || row.lastSeq < 0)) return;
    record(tx, abandonedEvent(row, burned));
    for (const _ of burned) onAlarm('burned');
    logger.warn({ stream: row.stream, epoch: row.epoch, burned: burned.length }, 'a proxy is gone that had not closed its stream');
  }

  function end(find: (tx: Tx) => Gone): void {
    if (registry.live() === null) return;
    registry.change((tx, { children }) => {
      const { epochs, isGone } = find(tx);
      for (const row of epochs) if (row.key !== operatorKey) burn(tx, row);
      const runs = children.filter((row) => row.run !== undefined && isGone(row));
      for (const row of runs) endChild(tx, row, 'its run has ended', record);
      return { changed: runs.length > 0, value: null };
    });
    onRelease();
  }

  return {
    retire(instance) {
      const id = runIdOf(instance);
      end((tx) => ({ epochs: tx.streams.unsettledEpochs(instance), isGone: ({ key }) => childPartOf(key) === id }));
    },
    retireAllBut(living) {
      end((tx) => goneBut(living, tx));
    },
  };
}

function goneBut(living: ReadonlySet<string>, tx: Tx): Gone {
  const isNew = (sinceMs: number): boolean => tx.now() - sinceMs < newMs;
  const unsettled = tx.streams.unsettledEpochs();
  const epochs = unsettled.filter(({ instance, openedAtMs }) => !living.has(instance) && !isNew(openedAtMs));
  const gone = new Set(epochs);
  // If a Job runs its Pods one after another, the newest Pod may be unknown, and so the Job.
  const inUse = new Set(unsettled.filter((row) => !gone.has(row)).map(({ key }) => key));
  const ids = new Set([...living].map(runIdOf));
  return { epochs, isGone: ({ key, createdAtMs }) => !ids.has(childPartOf(key)) && !inUse.has(key) && !isNew(createdAtMs) };
}
