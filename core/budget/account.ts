import { type WindowKind, windowKinds } from '../manifest/types.ts';
import { addMoney, type NanoUsd } from '../money.ts';
import { type KeyName, storedKey } from '../names.ts';

/** What is counted: money, requests, and tokens of the per-minute rate. */
export interface Amounts {
  readonly nano: NanoUsd;
  readonly requests: number;
  readonly tokens: number;
}
export type Dimension = keyof Amounts;

export const nothing: Amounts = { nano: 0, requests: 0, tokens: 0 };

/**
 * What one key has spent and promised in one window. Until a grant closes, its whole amount counts as outstanding.
 * Meanwhile the grant itself counts what is settled of it, so that settling an entry touches no account.
 * I1: settled + burned + outstanding ≤ max(cap, what was committed when the cap was lowered), except for debt from a breach of I3.
 */
export interface Account {
  readonly settled: Amounts;
  /** From abandoned epochs: perhaps spent, so never released automatically. */
  readonly burned: Amounts;
  readonly outstanding: Amounts;
  /** Proxies and escrows with open grants here. */
  readonly holders: number;
  /** On a Minute account with a token rate: the rate at the last grant. Debt shrinks by it each minute. */
  readonly tokensPerMinute?: number;
}

/** What an account counts in: a window of a limit, or the minute of a rate. */
type AccountWindow = WindowKind | 'Minute';

/** One of a key's limits, in the current window. */
export interface AccountRef {
  readonly key: KeyName;
  readonly window: AccountWindow;
}

/** The key, window and start of an account; its id is `key|window|start`, the start in ISO 8601. */
export interface AccountName extends AccountRef {
  readonly startMs: number;
}

/** Makes an account's id. */
export function accountId({ key, window, startMs }: AccountName): string {
  return `${key}|${window}|${new Date(startMs).toISOString()}`;
}

/** Takes an account's id apart; throws RangeError if it is not one. */
export function accountName(id: string): AccountName {
  const [key = '', kind, start = ''] = id.split('|');
  const window = kind === 'Minute' ? kind : windowKinds.find((known) => known === kind);
  if (window === undefined) throw new RangeError(`${id} names no account`);
  return { key: storedKey(key), window, startMs: Date.parse(start) };
}

/** Sum, each dimension; throws MoneyOverflow. */
export function plus(a: Amounts, b: Amounts): Amounts {
  return { nano: addMoney(a.nano, b.nano), requests: a.requests + b.requests, tokens: a.tokens + b.tokens };
}

/** Difference, each dimension; throws MoneyOverflow. */
export function minus(a: Amounts, b: Amounts): Amounts {
  return { nano: addMoney(a.nano, -b.nano), requests: a.requests - b.requests, tokens: a.tokens - b.tokens };
}

/** True if every dimension is 0. */
export function isNothing(amounts: Amounts): boolean {
  return amounts.nano === 0 && amounts.requests === 0 && amounts.tokens === 0;
}

/** Settled, burned and outstanding together. */
export function committed(account: Account): Amounts {
  return plus(plus(account.settled, account.burned), account.outstanding);
}

/** A new account. It starts with the debt of an earlier minute: tokens used beyond the rate, minus the rate of each minute since. */
export function openAccount(startMs: number, earlier: { readonly startMs: number; readonly account: Account } | null): Account {
  const fresh: Account = { settled: nothing, burned: nothing, outstanding: nothing, holders: 0 };
  const rate = earlier?.account.tokensPerMinute;
  if (earlier === null || rate === undefined || earlier.startMs >= startMs) return fresh;
  const minutes = Math.round((startMs - earlier.startMs) / 60_000);
  const debt = Math.max(0, committed(earlier.account).tokens - rate * minutes);
  return { ...fresh, settled: { ...nothing, tokens: debt }, tokensPerMinute: rate };
}
