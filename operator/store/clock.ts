const dayMs = 86_400_000;
const minuteMs = 60_000;

/** The machine's clock moved in a way that clocks do not; dates and budgets windows may be off. */
export interface ClockJump {
  /** The latest time that the store knew, milliseconds since the epoch. */
  readonly fromMs: number;
  /** What the machine's clock says. */
  readonly toMs: number;
}

/** A clock that never goes back. */
export interface ForwardClock {
  /** Reads the machine's clock once; what `now` says until the next reading. */
  read(): number;
  now(): number;
}

/**
 * Holds its time where the machine's clock goes back, and reports a jump back of over a minute (once, until it has caught up)
 * or forward of over a day. `markMs` is the latest time of an earlier life.
 */
export function forwardClock(clock: () => number, markMs: number, onJump: (jump: ClockJump) => void): ForwardClock {
  let latestMs = markMs;
  let held = false;
  return {
    now: () => latestMs,
    read: () => {
      const machineMs = Math.floor(clock());
      const behind = machineMs < latestMs - minuteMs;
      if ((behind && !held) || (latestMs > 0 && machineMs > latestMs + dayMs)) onJump({ fromMs: latestMs, toMs: machineMs });
      held = behind;
      latestMs = Math.max(latestMs, machineMs);
      return latestMs;
    },
  };
}
