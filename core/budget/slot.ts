import type { WindowKind } from '../manifest/types.ts';
import type { KeyName } from '../names.ts';
import type { AccountNode, AccountPlan } from '../policy/documents.ts';
import { type Amounts, accountId } from './account.ts';
import { windowAt } from './window.ts';

/** One account that a key draws on now, with its caps as the plan has them. */
export interface Slot {
  readonly id: string;
  readonly key: KeyName;
  readonly window: WindowKind | 'Minute';
  readonly startMs: number;
  readonly endMs?: number;
  /** Absent dimension: not limited. */
  readonly cap: Partial<Amounts>;
}

/** All accounts on a key's path, root first: Total of every node, each limit's current window, the minute where there is a rate. */
export function slotsAt(plan: AccountPlan, nowMs: number): readonly Slot[] {
  return plan.nodes.flatMap((node) => slotsOf(node, nowMs));
}

/** The Total account of a key. */
export function totalOf(key: KeyName): string {
  return accountId({ key, window: 'Total', startMs: 0 });
}

/** The account of a key's rate in the minute of an instant. */
export function minuteOf(key: KeyName, nowMs: number): { readonly id: string; readonly startMs: number } {
  const { startMs } = windowAt('Minute', 'Etc/UTC', nowMs);
  return { id: accountId({ key, window: 'Minute', startMs }), startMs };
}

function slotsOf(node: AccountNode, nowMs: number): readonly Slot[] {
  const slots = node.limits.map((limit) =>
    slot(node.key, limit.window, limit.timeZone, nowMs, {
      ...(limit.usdNano === undefined ? {} : { nano: limit.usdNano }),
      ...(limit.requests === undefined ? {} : { requests: limit.requests }),
    }),
  );
  if (!node.limits.some((limit) => limit.window === 'Total')) slots.unshift(slot(node.key, 'Total', 'Etc/UTC', nowMs, {}));
  const { requestsPerMinute, tokensPerMinute } = node.rate;
  if (requestsPerMinute !== undefined || tokensPerMinute !== undefined) {
    slots.push(
      slot(node.key, 'Minute', 'Etc/UTC', nowMs, {
        ...(requestsPerMinute === undefined ? {} : { requests: requestsPerMinute }),
        ...(tokensPerMinute === undefined ? {} : { tokens: tokensPerMinute }),
      }),
    );
  }
  return slots;
}

function slot(key: KeyName, window: WindowKind | 'Minute', timeZone: string, nowMs: number, cap: Partial<Amounts>): Slot {
  const bounds = windowAt(window, timeZone, nowMs);
  return { id: accountId({ key, window, startMs: bounds.startMs }), key, window, ...bounds, cap };
}
