import { unknownCooldownMs } from './deadline.ts';
import type { Verdict } from './types.ts';

/** Limited until the deadline, or for a moment where the provider names none. */
export function cooldown(code: string, model: boolean, at: { readonly deadline: number | null; readonly nowMs: number }): Verdict {
  return { kind: 'cooldown', untilMs: at.deadline ?? at.nowMs + unknownCooldownMs, model, code };
}

/** Out of money, until the deadline where the provider names one. */
export function disabled(code: string, deadline: number | null): Verdict {
  return deadline === null ? { kind: 'disabled', code } : { kind: 'disabled', untilMs: deadline, code };
}

/** Trouble of the vendor as a whole. */
export function overloaded(code: string, at: { readonly deadline: number | null; readonly nowMs: number }): Verdict {
  return at.deadline === null ? { kind: 'overloaded', code } : { kind: 'overloaded', retryAfterMs: at.deadline - at.nowMs, code };
}
