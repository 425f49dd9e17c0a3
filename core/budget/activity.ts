import type { NanoUsd } from '../money.ts';

/** What a wallet has seen lately, on the monotonic clock of its calls: how much to hold follows from it. */
export interface Activity {
  /** A call asks for money. */
  asked(nowMs: number, reservedNano: NanoUsd, boundNano: NanoUsd): void;
  spent(nano: NanoUsd): void;
  /** The last call's bound + peak reserved in the last minute + five minutes of spending. */
  wantNano(nowMs: number): NanoUsd;
  /** One, and five minutes of calls. */
  wantRequests(nowMs: number): number;
  /** False after two minutes without a call. */
  active(nowMs: number): boolean;
}

const minuteMs = 60_000;
const horizonMinutes = 5;
const activeMs = 120_000;

interface Minute {
  spent: NanoUsd;
  requests: number;
  peak: NanoUsd;
}

export function createActivity(): Activity {
  let previous: Minute = { spent: 0, requests: 0, peak: 0 };
  let current: Minute = { spent: 0, requests: 0, peak: 0 };
  let startMs = Number.NEGATIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  let lastBound: NanoUsd = 0;

  function roll(nowMs: number): void {
    if (nowMs < startMs + minuteMs) return;
    const successive = nowMs < startMs + 2 * minuteMs;
    previous = successive ? current : { spent: 0, requests: 0, peak: 0 };
    current = { spent: 0, requests: 0, peak: 0 };
    startMs = successive ? startMs + minuteMs : nowMs;
  }

  /** A minute's worth: the running minute and what of the one before it is less than a minute ago. */
  function lately(what: 'spent' | 'requests', nowMs: number): number {
    const elapsed = Math.min(1, Math.max(0, (nowMs - startMs) / minuteMs));
    return current[what] + previous[what] * (1 - elapsed);
  }

  return {
    asked: (nowMs, reservedNano, boundNano) => {
      roll(nowMs);
      lastMs = nowMs;
      lastBound = boundNano;
      current.requests += 1;
      current.peak = Math.max(current.peak, reservedNano + boundNano);
    },
    spent: (nano) => {
      current.spent += nano;
    },
    wantNano: (nowMs) => {
      roll(nowMs);
      return Math.ceil(lastBound + Math.max(previous.peak, current.peak) + horizonMinutes * lately('spent', nowMs));
    },
    wantRequests: (nowMs) => {
      roll(nowMs);
      return Math.ceil(1 + horizonMinutes * lately('requests', nowMs));
    },
    active: (nowMs) => nowMs - lastMs < activeMs,
  };
}
