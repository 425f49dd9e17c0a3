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
/** The longest sleep: upkeep notices a jump of the machine's clock within it. */
const maxSleepMs = 60_000;

/** What upkeep works over. */
interface UpkeepDeps extends SealDeps {
  readonly store: Store;
  readonly registry: Registry;
  /** Whether rotations are this process's to make. */
  readonly decides: () => boolean;
  readonly record: RecordEvent;
  /** Called where money may have come back. */
  readonly onRelease: () => void;
  readonly logger: Logger;
}

/**
 * Does what is due by the clock: ends sub-agent keys, rotates tokens, each day takes over new prices and prunes old grants.
 * Its timer does not keep the process alive.
 */
export class Upkeep {
  readonly #deps: UpkeepDeps;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  // Also soon after each start: a laptop may never be up for a day.
  #dailyMs = Number.NEGATIVE_INFINITY;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  /** Sets the timer for what is due next; to be called after each change. */
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

  /** Stops the timer for good. */
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
      // Where it fails, most likely a disk is full: what is due remains due, and the next try follows the longest sleep.
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
      this.#deps.logger.error({ err: error }, 'upkeep of keys failed; retrying in a minute');
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

/** The key of a run remains, expired, until its Pods are gone: so their calls learn why they are refused. */
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
