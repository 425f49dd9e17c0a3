import type { Logger } from 'pino';
import type { KeyName } from '../../core/names.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import { keepClosedGrantsMs } from '../ledger/settled.ts';
import type { ChildRow, Store, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import type { LiveState } from './live-state.ts';
import type { Registry } from './registry.ts';
import { rotateToken } from './tokens.ts';

const dayMs = 86_400_000;
/** The longest sleep, within which upkeep notices a jump of the machine's clock. */
const maxSleepMs = 60_000;

/** What upkeep needs. */
interface UpkeepDeps extends SealDeps {
  readonly store: Store;
  readonly registry: Registry;
  /** True if this process makes rotations. */
  readonly decides: () => boolean;
  readonly record: RecordEvent;
  /** Called when money may have been released. */
  readonly onRelease: () => void;
  readonly logger: Logger;
}

/**
 * Does work that is due by the clock: it ends sub-agent keys, rotates tokens, and each day loads new prices and prunes old
 * grants. Its timer does not keep the process alive.
 */
export class Upkeep {
  readonly #deps: UpkeepDeps;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  // Also soon after each start, because a laptop may never run for a whole day.
  #dailyMs = Number.NEGATIVE_INFINITY;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  /** Sets the timer for the next due work. Call it after each change. */
  schedule(): void {
    const live = this.#deps.registry.live();
    if (live === null) return;
    const dueMs = Math.min(...live.children.map(endOf), ...this.#rotations(live).map((rotation) => rotation.dueMs));
    this.#sleep(Math.max(0, Math.min(dueMs - this.#now(), maxSleepMs)));
  }

  /** Does what is due now. */
  run(): void {
    const { store, registry, onRelease } = this.#deps;
    const isNewDay = this.#now() - this.#dailyMs >= dayMs;
    const ended = registry.change((tx, live) => {
      const rotated = this.#rotateDue(tx, live);
      const value = live.children.some((row) => endOf(row) <= tx.now());
      return { value, changed: value || isNewDay || rotated };
    });
    if (ended) onRelease();
    if (!isNewDay) return;
    store.transaction((tx) => tx.ledger.prune(tx.now() - keepClosedGrantsMs));
    this.#dailyMs = this.#now();
  }

  /** Stops the timer permanently. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #now(): number {
    return this.#deps.store.transaction((tx) => tx.now());
  }

  #sleep(forMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      // If it fails, probably because a disk is full, the work stays due and the next attempt follows the longest sleep.
      if (this.#tryRun()) this.schedule();
      else this.#sleep(maxSleepMs);
    }, forMs);
    this.#timer.unref();
  }

  #tryRun(): boolean {
    try {
      this.run();
      return true;
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'upkeep of keys failed; the operator retries in a minute');
      return false;
    }
  }

  #rotateDue(tx: Tx, live: LiveState): boolean {
    const due = this.#rotations(live).filter(({ dueMs }) => dueMs <= tx.now());
    for (const { key, overlapMs } of due) {
      this.#deps.record(tx, { type: 'key_rotated', object: keyObject(key), detail: { reason: 'spec.rotation' } });
      rotateToken(tx.keys, key, tx.now(), { ...this.#deps, overlapMs });
    }
    return due.length > 0;
  }

  #rotations(live: LiveState): readonly DueRotation[] {
    return this.#deps.decides() ? rotationsOf(live) : [];
  }
}

/** When upkeep ends a key. An expired run stays until its Pods are gone, so that their calls are refused with the reason. */
function endOf({ expiresAtMs = Number.POSITIVE_INFINITY, run }: ChildRow): number {
  return run === undefined ? expiresAtMs : Number.POSITIVE_INFINITY;
}

interface DueRotation {
  readonly key: KeyName;
  readonly dueMs: number;
  readonly overlapMs: number;
}

function rotationsOf({ specs, tokens }: LiveState): readonly DueRotation[] {
  return [...specs].flatMap(([key, { rotation }]): readonly DueRotation[] => {
    const current = tokens.get(key)?.current ?? null;
    if (rotation === undefined || current === null) return [];
    return [{ key, dueMs: current.createdAtMs + rotation.everyMs, overlapMs: rotation.overlapMs }];
  });
}
