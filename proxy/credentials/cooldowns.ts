import type { Verdict } from '../provider/types.ts';
import { type Choosable, hashText } from './affinity.ts';

/** Retry delay of a scope without money if the provider names no date, so that a payment needs no restart of KeyForge. */
export const probeMs = 300_000;

/** Models of a scope with a limit in force. Callers name models; beyond it, the limit noted first is forgotten, and found again. */
const maxModels = 256;

/** Credentials that share a provider's limits, and the end of each limit. Owned by its pool. */
export interface QuotaScope extends Choosable {
  readonly name: string;
  /** All models. */
  cooledUntilMs: number;
  readonly modelsUntilMs: Map<string, number>;
  disabledUntilMs: number;
  /** False if `disabledUntilMs` is only our next probe, which is no promise to a caller. */
  disabledByDate: boolean;
  /** The provider's last error body on a limit; JSON text. */
  body: string | undefined;
}

/** A scope without limits. */
export function createQuotaScope(name: string): QuotaScope {
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

/** The time from which the scope can be used for this model; a past time means now. */
export function usableAtMs(scope: QuotaScope, model: string): number {
  return Math.max(scope.cooledUntilMs, scope.disabledUntilMs, scope.modelsUntilMs.get(model) ?? 0);
}

/** The same as a promise to a caller; null if the provider named no date. */
export function promisedAtMs(scope: QuotaScope, model: string): number | null {
  const usableMs = usableAtMs(scope, model);
  return !scope.disabledByDate && usableMs === scope.disabledUntilMs ? null : usableMs;
}

/** Applies a verdict about a limit. The later deadline wins. */
export function applyLimit(
  scope: QuotaScope,
  verdict: Extract<Verdict, { kind: 'cooldown' | 'disabled' }>,
  at: { readonly model: string; readonly nowMs: number },
): void {
  if (verdict.kind === 'disabled') {
    const untilMs = verdict.untilMs ?? at.nowMs + probeMs;
    if (untilMs <= scope.disabledUntilMs) return;
    scope.disabledUntilMs = untilMs;
    scope.disabledByDate = verdict.untilMs !== undefined;
  } else if (verdict.model) {
    for (const [model, untilMs] of scope.modelsUntilMs) if (untilMs <= at.nowMs) scope.modelsUntilMs.delete(model);
    scope.modelsUntilMs.set(at.model, Math.max(verdict.untilMs, scope.modelsUntilMs.get(at.model) ?? 0));
    for (const first of scope.modelsUntilMs.keys()) {
      if (scope.modelsUntilMs.size <= maxModels) break;
      scope.modelsUntilMs.delete(first);
    }
  } else {
    scope.cooledUntilMs = Math.max(verdict.untilMs, scope.cooledUntilMs);
  }
}

/** For metrics: says whether any limit is in force, and until when. */
export function scopeStatus(
  scope: QuotaScope,
  nowMs: number,
): { readonly status: 'ready' | 'cooling' | 'disabled'; readonly untilMs?: number } {
  if (scope.disabledUntilMs > nowMs) return { status: 'disabled', untilMs: scope.disabledUntilMs };
  const untilMs = Math.max(scope.cooledUntilMs, ...scope.modelsUntilMs.values());
  return untilMs > nowMs ? { status: 'cooling', untilMs } : { status: 'ready' };
}
