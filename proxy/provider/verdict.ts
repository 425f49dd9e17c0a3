import { unknownCooldownMs } from './deadline.ts';
import type { Verdict } from './types.ts';

interface At {
  /** As the provider names it, in milliseconds since the epoch; null where it names none. */
  readonly deadline: number | null;
  readonly nowMs: number;
}

/** One model is limited until the deadline, or for a moment where the provider names none. */
export function modelCooldown(code: string, at: At): Verdict {
  return { kind: 'cooldown', untilMs: untilOf(at), model: true, code };
}

/** Every model is limited until the deadline, or for a moment where the provider names none. */
export function cooldown(code: string, at: At): Verdict {
  return { kind: 'cooldown', untilMs: untilOf(at), model: false, code };
}

function untilOf({ deadline, nowMs }: At): number {
  return deadline ?? nowMs + unknownCooldownMs;
}

/** Out of money, until the deadline where the provider names one. */
export function disabled(code: string, deadline: number | null): Verdict {
  return deadline === null ? { kind: 'disabled', code } : { kind: 'disabled', untilMs: deadline, code };
}

/** Trouble of the vendor as a whole. */
export function overloaded(code: string, at: At): Verdict {
  return at.deadline === null ? { kind: 'overloaded', code } : { kind: 'overloaded', retryAfterMs: at.deadline - at.nowMs, code };
}
