import { unknownCooldownMs } from './deadline.ts';
import type { Verdict } from './types.ts';

interface At {
  /** The provider's deadline, in milliseconds since the epoch; null if it names none. */
  readonly deadline: number | null;
  readonly nowMs: number;
}

/** Limits one model until the deadline; default: a short cooldown. */
export function modelCooldown(code: string, at: At): Verdict {
  return { kind: 'cooldown', untilMs: untilOf(at), model: true, code };
}

/** Limits every model until the deadline; default: a short cooldown. */
export function cooldown(code: string, at: At): Verdict {
  return { kind: 'cooldown', untilMs: untilOf(at), model: false, code };
}

function untilOf({ deadline, nowMs }: At): number {
  return deadline ?? nowMs + unknownCooldownMs;
}

/** Disables the scope until the deadline, if the provider names one: it is out of money. */
export function disabled(code: string, deadline: number | null): Verdict {
  return deadline === null ? { kind: 'disabled', code } : { kind: 'disabled', untilMs: deadline, code };
}

/** The whole vendor is overloaded. */
export function overloaded(code: string, at: At): Verdict {
  return at.deadline === null ? { kind: 'overloaded', code } : { kind: 'overloaded', retryAfterMs: at.deadline - at.nowMs, code };
}
