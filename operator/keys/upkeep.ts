import type { Logger } from 'pino';
import type { KeyName } from '../../core/names.ts';
import { keepClosedGrantsMs } from '../ledger/settled.ts';
import type { ChildRow, Store, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import type { RecordEvent } from './lives.ts';
import type { Live, Registry } from './registry.ts';
import { rotateToken } from './tokens.ts';

const dayMs = 86_400_000;
/** The longest sleep, so that a jump of the machine's clock is noticed within it. */
const lookMs = 60_000;

/** What is due by the clock: the end of sub-agent keys, rotations, each day new prices and pruning. */
export interface Upkeep {
  /** Looks anew at what is due next; to be called after each change. */
  schedule(): void;
  /** Does what is due now. */
  run(): void;
  close(): void;
}

export interface UpkeepDeps extends SealDeps {
  readonly store: Store;
  readonly registry: Registry;
  /** Whether rotations are this process's to make. */
  readonly decides: () => boolean;
  readonly record: RecordEvent;
  /** Called where money may have come back. */
  readonly released: () => void;
  readonly logger: Logger;
}

/** The clockwork; its timer does not keep the process alive. */
export function createUpkeep({ store, registry, decides, record, released, logger, ...press }: UpkeepDeps): Upkeep {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  // Also soon after each start: a laptop may never be up for a day.
  let dailyMs = Number.NEGATIVE_INFINITY;

  function now(): number {
    return store.transaction((tx) => tx.now());
  }

  function sleep(forMs: number): void {
    clearTimeout(timer);
    if (closed) return;
    timer = setTimeout(() => {
      // A full disk, most likely, where it fails: what is due stays due and is tried again after the longest sleep.
      if (runSafely()) schedule();
      else sleep(lookMs);
    }, forMs);
    timer.unref();
  }

  function schedule(): void {
    const live = registry.live();
    if (live !== null) sleep(Math.max(0, Math.min(dueAt(live, rotations(live)) - now(), lookMs)));
  }

  function runSafely(): boolean {
    try {
      run();
      return true;
    } catch (error) {
      logger.error({ err: error }, 'upkeep failed; it is tried again in a minute');
      return false;
    }
  }

  function run(): void {
    const isNewDay = now() - dailyMs >= dayMs;
    const ended = registry.change((tx, live) => {
      const rotated = rotateDue(tx, live);
      const value = live.children.some((row) => endOf(row) <= tx.now());
      return { value, changed: value || isNewDay || rotated };
    });
    if (ended) released();
    if (!isNewDay) return;
    store.transaction((tx) => tx.ledger.prune(tx.now() - keepClosedGrantsMs));
    dailyMs = now();
  }

  function rotateDue(tx: Tx, live: Live): boolean {
    const due = rotations(live).filter(({ dueMs }) => dueMs <= tx.now());
    for (const { key, overlapMs } of due) {
      record(tx, { type: 'key_rotated', object: `VirtualKey ${key}`, detail: { reason: 'spec.rotation' } });
      rotateToken(tx.keys, key, tx.now(), { ...press, overlapMs });
    }
    return due.length > 0;
  }

  function rotations(live: Live): readonly Due[] {
    return decides() ? rotationsOf(live) : [];
  }

  return {
    schedule,
    run,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function dueAt(live: Live, rotations: readonly Due[]): number {
  return Math.min(...live.children.map(endOf), ...rotations.map(({ dueMs }) => dueMs));
}

/** The key of a run stays, expired, until its Pods are gone: their calls are then told so. */
function endOf({ expiresAtMs = Number.POSITIVE_INFINITY, run }: ChildRow): number {
  return run === undefined ? expiresAtMs : Number.POSITIVE_INFINITY;
}

interface Due {
  readonly key: KeyName;
  readonly dueMs: number;
  readonly overlapMs: number;
}

function rotationsOf({ specs, tokens }: Live): readonly Due[] {
  return [...specs].flatMap(([key, { rotation }]): readonly Due[] => {
    const current = tokens.get(key)?.current ?? null;
    if (rotation === undefined || current === null) return [];
    return [{ key, dueMs: current.createdAtMs + rotation.everyMs, overlapMs: rotation.overlapMs }];
  });
}
