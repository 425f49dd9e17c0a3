import type { KeyName } from '../../core/names.ts';

interface PaceOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
}

/** Refusals of one key in a second; a client that heeds `Retry-After` makes few. */
const perSecond = 200;
/** So many may come at once. */
const burst = 200;
/** A refused body counts as one more refusal for each of these: it took as long to read. */
const bytesOfOne = 256 * 1024;
/** Longer than this no client has to wait: it may take KeyForge for dead. */
const maxDelayMs = 5_000;
const intervalMs = 1000 / perSecond;
/** Beyond it, keys that are on time are forgotten. */
const maxKeys = 1024;

/**
 * Delays the answers of calls that were not served, where a key makes many of them, so that a key that floods slows itself and
 * nobody else: a client waits for an answer before it asks again. The generic cell rate algorithm (ITU-T I.371) on each key.
 */
export class Pace {
  readonly #monotonic: () => number;
  /** When the next refusal of a key is due, in milliseconds. */
  readonly #dueMs = new Map<KeyName | '', number>();

  constructor({ monotonic }: PaceOptions) {
    this.#monotonic = monotonic;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#dueMs.size;
  }

  /** Counts a call that was not served and whose body had this many bytes. How long its answer waits, in milliseconds. `''`: of unknown keys. */
  delayMs(key: KeyName | '', bytes = 0): number {
    const nowMs = this.#monotonic();
    const latestMs = nowMs + burst * intervalMs;
    const dueMs = Math.max(nowMs, this.#dueMs.get(key) ?? nowMs) + intervalMs * (1 + Math.floor(bytes / bytesOfOne));
    // Never beyond the longest delay, so that a key recovers as soon as it is quiet.
    this.#dueMs.set(key, Math.min(dueMs, latestMs + maxDelayMs));
    if (this.#dueMs.size > maxKeys) this.#forget(nowMs);
    return Math.min(Math.max(0, dueMs - latestMs), maxDelayMs);
  }

  #forget(nowMs: number): void {
    for (const [key, dueMs] of this.#dueMs) if (dueMs <= nowMs) this.#dueMs.delete(key);
  }
}
