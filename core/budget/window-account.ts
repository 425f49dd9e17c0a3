import type { KeyName } from '../names.ts';
import type { AccountNode, AccountPlan } from '../policy/documents.ts';
import { type AccountName, accountId, type Dimension } from './account.ts';
import { windowAt } from './window.ts';

/** One account that a key uses in its current window, with the caps that the plan sets. */
export interface WindowAccount extends AccountName {
  readonly id: string;
  readonly endMs?: number;
  /** Absent or undefined: not limited. */
  readonly cap: { readonly [D in Dimension]?: number | undefined };
}

/** All accounts on a key's path, root first: each node's Total, each limit's current window, and the minute if there is a rate. */
export function windowAccountsAt(plan: AccountPlan, nowMs: number): readonly WindowAccount[] {
  return plan.nodes.flatMap((node) => accountsOf(node, nowMs));
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

function accountsOf({ key, limits, rate }: AccountNode, nowMs: number): readonly WindowAccount[] {
  const accounts = limits.map(({ window, timeZone, usdNano, requests }) =>
    accountAt({ key, window, timeZone, nowMs, cap: { nano: usdNano, requests } }),
  );
  if (!limits.some(({ window }) => window === 'Total')) {
    accounts.unshift(accountAt({ key, window: 'Total', timeZone: 'Etc/UTC', nowMs, cap: {} }));
  }
  const cap = { requests: rate.requestsPerMinute, tokens: rate.tokensPerMinute };
  if (cap.requests !== undefined || cap.tokens !== undefined) {
    accounts.push(accountAt({ key, window: 'Minute', timeZone: 'Etc/UTC', nowMs, cap }));
  }
  return accounts;
}

interface Current extends Pick<WindowAccount, 'key' | 'window' | 'cap'> {
  readonly timeZone: string;
  readonly nowMs: number;
}

function accountAt({ key, window, timeZone, nowMs, cap }: Current): WindowAccount {
  const bounds = windowAt(window, timeZone, nowMs);
  return { id: accountId({ key, window, startMs: bounds.startMs }), key, window, ...bounds, cap };
}
