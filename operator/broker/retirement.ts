import type { Logger } from 'pino';
import { ownKey } from '../collector/own.ts';
import { abandon } from '../ledger/ledger.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { endChild, type RecordEvent } from './lives.ts';
import type { Registry } from './registry.ts';
import { runId, runIdOf } from './run-name.ts';

/** The end of proxies whose Pod is gone without their saying so. */
export interface Retirement {
  /**
   * The Pod of this uid is gone: what its proxy still held burns, visibly, and its run ends. Entries that come late after
   * all are charged to what was burned.
   */
  retire(instance: string): void;
  /** As `retire`, for every proxy and every run but those of these uids of Pods and Jobs. */
  retireAllBut(living: ReadonlySet<string>): void;
}

export interface RetirementDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  /** Called where money may have come back. */
  readonly released: () => void;
  readonly logger: Logger;
}

/** Retirement over the registry. Before the first policy was adopted nothing is retired: who is gone by then a later look finds. */
export function createRetirement({ registry, record, released, logger }: RetirementDeps): Retirement {
  function burn(tx: Tx, row: EpochRow): void {
    const burned = abandon(tx, row.stream, row.epoch);
    if (row.state === 'open') tx.streams.putEpoch({ ...row, state: 'abandoned' });
    if (burned.length === 0 && (row.state !== 'open' || row.lastSeq < 0)) return;
    const detail = {
      ...Object.fromEntries(burned.map(({ grant, nano }) => [`burned ${grant}`, String(nano)])),
      epoch: String(row.epoch),
      lastSeq: String(row.lastSeq),
    };
    record(tx, { type: 'epoch_abandoned', object: row.stream, detail });
    logger.warn({ stream: row.stream, epoch: row.epoch, burned: burned.length }, 'a proxy is gone that had not closed its stream');
  }

  function end(gone: (tx: Tx) => readonly EpochRow[], isRunGone: (id: string) => boolean): void {
    if (registry.live() === null) return;
    registry.change((tx, { children }) => {
      for (const row of gone(tx)) if (row.key !== ownKey) burn(tx, row);
      const runs = children.filter(({ key, run }) => run !== undefined && isRunGone(runId(key)));
      for (const row of runs) endChild(tx, row, 'its run has ended', record);
      return { changed: runs.length > 0, value: null };
    });
    released();
  }

  return {
    retire(instance) {
      const id = runIdOf(instance);
      end(
        (tx) => tx.streams.unsettledEpochs(instance),
        (run) => run === id,
      );
    },
    retireAllBut(living) {
      const ids = new Set([...living].map(runIdOf));
      end(
        (tx) => tx.streams.unsettledEpochs().filter(({ instance }) => !living.has(instance)),
        (run) => !ids.has(run),
      );
    },
  };
}
