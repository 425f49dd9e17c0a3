import { defined } from '../../core/json.ts';
import { type Condition, setCondition } from '../kube/conditions.ts';
import type { Events } from '../kube/events.ts';
import type { KubeObject } from '../kube/types.ts';
import { statusOf } from './status-writer.ts';

/** Status, reason and message of a condition. */
export type ConditionState = Pick<Condition, 'status' | 'reason' | 'message'>;

/** A condition without its times. */
export interface NewCondition extends ConditionState {
  readonly type: string;
}

/** One reason for a condition; null where it does not apply. Pure. */
export type ConditionPolicy<Facts> = (facts: Facts) => ConditionState | null;

/** The result of the first policy that applies; null if none does. */
export function firstOf<Facts>(chain: readonly ConditionPolicy<Facts>[], facts: Facts): ConditionState | null {
  for (const policy of chain) {
    const state = policy(facts);
    if (state !== null) return state;
  }
  return null;
}

/** Our conditions of an object, each with the time of its last transition. */
export function conditionsFor(object: KubeObject, states: readonly NewCondition[], nowMs: number): readonly Condition[] {
  const types = new Set(states.map(({ type }) => type));
  const ours = conditionsOf(object).filter(({ type }) => types.has(type));
  const observed = defined({ observedGeneration: object.metadata.generation });
  return states.reduce<readonly Condition[]>(
    (conditions, next) => setCondition(conditions, { ...next, ...observed }, timestamp(nowMs)),
    ours,
  );
}

/** Emits an event if Ready differs from the object's status; for a first status, only if it is not good. */
export function announce(events: Events, object: KubeObject, conditions: readonly Condition[]): void {
  const ready = readyOf(conditions);
  const previous = readyOf(conditionsOf(object));
  if (ready === undefined || ready.status === 'Unknown') return;
  if (previous?.status === ready.status && previous.reason === ready.reason) return;
  const isGood = ready.status === 'True';
  if (isGood && previous?.status !== 'False') return;
  const type = isGood ? 'Normal' : 'Warning';
  events.emit({ regarding: object, type, reason: ready.reason, note: ready.message, action: 'Reconcile' });
}

/** Emits a warning if a condition is True for this reason, and was not before. */
export function warnOnce(
  events: Events,
  object: KubeObject,
  conditions: readonly Condition[],
  { type, reason }: Pick<Condition, 'type' | 'reason'>,
): void {
  const holds = (one: Condition): boolean => one.type === type && one.status === 'True' && one.reason === reason;
  const found = conditions.find(holds);
  if (found === undefined || conditionsOf(object).some(holds)) return;
  events.emit({ regarding: object, type: 'Warning', reason, note: found.message, action: 'Reconcile' });
}

function conditionsOf(object: KubeObject): readonly Condition[] {
  const { conditions } = statusOf(object);
  return Array.isArray(conditions) ? conditions : [];
}

function readyOf(conditions: readonly Condition[]): Condition | undefined {
  return conditions.find(({ type }) => type === 'Ready');
}

/** RFC 3339 in whole seconds, like `metav1.Time`. */
function timestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
