import type { NanoUsd } from '../money.ts';

const minuteMs = 60_000;
const horizonMinutes = 5;
const activeMs = 120_000;

interface Minute {
  spent: NanoUsd;
  requests: number;
  peak: NanoUsd;
}

/** Recent use of a wallet, on the monotonic clock of its calls. It decides how much the wallet should hold. */
export class Activity {
  #previous: Minute = { spent: 0, requests: 0, peak: 0 };
  #current: Minute = { spent: 0, requests: 0, peak: 0 };
  #startMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastBoundNano: NanoUsd = 0;

  /** Notes that a call requested money. */
  noteRequest(nowMs: number, reservedNano: NanoUsd, boundNano: NanoUsd): void {
    this.#roll(nowMs);
    this.#lastMs = nowMs;
    this.#lastBoundNano = boundNano;
    this.#current.requests += 1;
    this.#current.peak = Math.max(this.#current.peak, reservedNano + boundNano);
  }

  /** Notes what a call cost. */
  noteSpent(nano: NanoUsd): void {
    this.#current.spent += nano;
  }

  /** The last call's bound + peak reserved in the last minute + five minutes of spending. */
  wantNano(nowMs: number): NanoUsd {
    this.#roll(nowMs);
    const peakNano = Math.max(this.#previous.peak, this.#current.peak);
    return Math.ceil(this.#lastBoundNano + peakNano + horizonMinutes * this.#lately('spent', nowMs));
  }

  /** One request more than five minutes of calls. */
  wantRequests(nowMs: number): number {
    this.#roll(nowMs);
    return Math.ceil(1 + horizonMinutes * this.#lately('requests', nowMs));
  }

  /** False after two minutes without a call. */
  isActive(nowMs: number): boolean {
    return nowMs - this.#lastMs < activeMs;
  }

  #roll(nowMs: number): void {
    if (nowMs < this.#startMs + minuteMs) return;
    const successive = nowMs < this.#startMs + 2 * minuteMs;
    this.#previous = successive ? this.#current : { spent: 0, requests: 0, peak: 0 };
    this.#current = { spent: 0, requests: 0, peak: 0 };
    this.#startMs = successive ? this.#startMs + minuteMs : nowMs;
  }

  /** A minute's worth: the current minute, and the share of the previous one that is less than a minute ago. */
  #lately(what: 'spent' | 'requests', nowMs: number): number {
    const elapsed = Math.min(1, Math.max(0, (nowMs - this.#startMs) / minuteMs));
    return this.#current[what] + this.#previous[what] * (1 - elapsed);
  }
}
