const dayMs = 86_400_000;
const minuteMs = 60_000;

/** A jump of the machine's clock: dates and budget windows may be wrong. */
export interface ClockJump {
  /** The latest time that the store knew, milliseconds since the epoch. */
  readonly fromMs: number;
  /** The time on the machine's clock. */
  readonly toMs: number;
}

/** A clock that never goes back. */
export interface ForwardClock {
  /** Reads the machine's clock once; `now` returns this time until the next reading. */
  read(): number;
  now(): number;
}

/**
 * Makes a clock that keeps its time if the machine's clock goes back. It reports a jump back of over a minute (once, until the
 * machine's clock has caught up) or forward of over a day. `markMs`: the latest time of an earlier process.
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
