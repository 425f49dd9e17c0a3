import type { Condition } from '../kube/conditions.ts';
import type { Events } from '../kube/events.ts';
import type { KubeObject } from '../kube/types.ts';
import { statusOf } from './status-writer.ts';

/** An event where Ready becomes other than the object's status says; one that was never told of tells only of trouble. */
export function announce(events: Events, object: KubeObject, conditions: readonly Condition[]): void {
  const ready = conditions.find(({ type }) => type === 'Ready');
  const held = statusOf(object)['conditions'];
  const before = (Array.isArray(held) ? (held as readonly Condition[]) : []).find(({ type }) => type === 'Ready');
  if (ready === undefined || ready.status === 'Unknown') return;
  if (before?.status === ready.status && before.reason === ready.reason) return;
  const isGood = ready.status === 'True';
  if (isGood && before?.status !== 'False') return;
  events.emit(object, isGood ? 'Normal' : 'Warning', ready.reason, ready.message, 'Reconcile');
}
