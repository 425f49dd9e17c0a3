import type { Verdict } from '../provider/types.ts';
import { type Choosable, hashText } from './affinity.ts';

/** A scope without money and without a date is tried again so often: whoever paid need not restart us. */
export const probeMs = 300_000;

/** Credentials that share a provider's limits, and until when which of them apply. Owned by its pool. */
export interface Scope extends Choosable {
  readonly name: string;
  /** All models. */
  cooledUntilMs: number;
  readonly modelsUntilMs: Map<string, number>;
  disabledUntilMs: number;
  /** False where `disabledUntilMs` is only our next probe, which is nothing to promise to a caller. */
  disabledByDate: boolean;
  /** The provider's last words on a limit; JSON text. */
  body: string | undefined;
}

export function createScope(name: string): Scope {
  return {
    name,
    hash: hashText(name),
    cooledUntilMs: 0,
    modelsUntilMs: new Map(),
    disabledUntilMs: 0,
    disabledByDate: true,
    body: undefined,
  };
}

/** When the scope serves this model again; not after now: it does already. */
export function servesAt(scope: Scope, model: string): number {
  return Math.max(scope.cooledUntilMs, scope.disabledUntilMs, scope.modelsUntilMs.get(model) ?? 0);
}

/** The same where a caller may be told; null where the provider named no date. */
export function promisedAt(scope: Scope, model: string): number | null {
  const servesMs = servesAt(scope, model);
  return !scope.disabledByDate && servesMs === scope.disabledUntilMs ? null : servesMs;
}

/** Applies a verdict on a limit. The later deadline wins. */
export function limit(
  scope: Scope,
  verdict: Extract<Verdict, { kind: 'cooldown' | 'disabled' }>,
  at: { model: string; nowMs: number },
): void {
  if (verdict.kind === 'disabled') {
    const untilMs = verdict.untilMs ?? at.nowMs + probeMs;
    if (untilMs <= scope.disabledUntilMs) return;
    scope.disabledUntilMs = untilMs;
    scope.disabledByDate = verdict.untilMs !== undefined;
  } else if (verdict.model) {
    for (const [model, untilMs] of scope.modelsUntilMs) if (untilMs <= at.nowMs) scope.modelsUntilMs.delete(model);
    scope.modelsUntilMs.set(at.model, Math.max(verdict.untilMs, scope.modelsUntilMs.get(at.model) ?? 0));
  } else {
    scope.cooledUntilMs = Math.max(verdict.untilMs, scope.cooledUntilMs);
  }
}

/** For metrics: is any of its limits in force, and until when. */
export function scopeStatus(scope: Scope, nowMs: number): { status: 'ready' | 'cooling' | 'disabled'; untilMs?: number } {
  if (scope.disabledUntilMs > nowMs) return { status: 'disabled', untilMs: scope.disabledUntilMs };
  const untilMs = Math.max(scope.cooledUntilMs, ...scope.modelsUntilMs.values());
  return untilMs > nowMs ? { status: 'cooling', untilMs } : { status: 'ready' };
}
