import { defined } from '../../core/json.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import { type KeyName, partsOf } from '../../core/names.ts';
import type { AccountView } from '../../core/protocol/money.ts';
import { spent, view } from '../ledger/view.ts';
import type { Tx } from '../store/types.ts';
import type { LiveState } from './live-state.ts';

/** One key, for people. Money is in decimal dollars. */
export interface KeyListing {
  readonly namespace: string;
  readonly name: string;
  /** Set on a sub-agent key. */
  readonly parent?: KeyName;
  /** Absent if there is no current token. */
  readonly hint?: string;
  /** `budget`: issues no token, only holds a budget for others. */
  readonly state: 'active' | 'suspended' | 'expired' | 'revoked' | 'budget';
  /** Over the key's whole life. */
  readonly spentUsd: string;
  /** What the tightest window on the path has left, money held by proxies included; absent: nothing caps the key. */
  readonly remainingUsd?: string;
  readonly limits: readonly LimitListing[];
  readonly expiresAt?: string;
  /** The ancestor that sets `expiresAt`; absent if the key itself does. */
  readonly expiresBy?: KeyName;
}

/** One window of one node of the key's path that limits something, root first. */
export interface LimitListing {
  readonly key: KeyName;
  readonly window: string;
  readonly capUsd?: string;
  readonly spentUsd: string;
  /** What is neither spent nor burned, money held by proxies included; present if `capUsd` is. */
  readonly remainingUsd?: string;
  readonly requestsCap?: number;
  readonly requestsUsed: number;
  readonly endsAt?: string;
}

/** Part of a cap whose use is worth a word to its owner. */
const nearPart = 0.8;

/** The limit on the key's path of which most is used, if that is at least 80 %. */
export function nearLimit({ limits }: Pick<KeyListing, 'limits'>): LimitListing | undefined {
  const [fullest] = limits.toSorted((one, other) => usedPart(other) - usedPart(one));
  return fullest !== undefined && isNear(fullest) ? fullest : undefined;
}

/** True if at least 80 % of the limit is used. */
export function isNear(limit: LimitListing): boolean {
  return usedPart(limit) >= nearPart;
}

/** From 0 to 1. A cap of 0 is a closed door and does not end. */
function usedPart({ capUsd, remainingUsd, requestsCap = 0, requestsUsed }: LimitListing): number {
  const cap = Number(capUsd ?? 0);
  const dollars = cap > 0 ? 1 - Number(remainingUsd) / cap : 0;
  return Math.max(dollars, requestsCap > 0 ? requestsUsed / requestsCap : 0);
}

type Account = AccountView['accounts'][number];

/** Lists a key with its money; it reads the accounts of its whole path. */
export function listingOf(tx: Tx, live: LiveState, key: KeyName): KeyListing {
  const plan = live.plans.get(key);
  const accounts = plan === undefined ? [] : view(tx, plan).accounts;
  const limits = accounts.filter(({ capNanoUsd, requestsCap }) => capNanoUsd !== undefined || requestsCap !== undefined);
  const remaining = limits.flatMap((account) => remainingOf(account) ?? []);
  const end = firstEnd(tx, live, plan?.path ?? []);
  const expiresAtMs = live.documents.get(key)?.expiresAtMs ?? end?.atMs;
  const isEndOfAncestor = end !== undefined && end.key !== key && end.atMs === expiresAtMs;
  return {
    ...partsOf(key),
    ...defined({ parent: live.children.find((row) => row.key === key)?.parent, hint: live.tokens.get(key)?.current?.hint }),
    state: stateOf(live, key, tx.now()),
    spentUsd: formatUsd(spent(tx, key)),
    ...defined({ remainingUsd: remaining.length === 0 ? undefined : formatUsd(Math.min(...remaining)) }),
    limits: limits.map(limitListing),
    ...defined({
      expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs).toISOString(),
      expiresBy: isEndOfAncestor ? end.key : undefined,
    }),
  };
}

/** The current state of a key, from its document and tokens only. */
export function stateOf({ documents, tokens }: LiveState, key: KeyName, nowMs: number): KeyListing['state'] {
  const document = documents.get(key);
  if (document === undefined) return 'budget';
  if (tokens.get(key)?.revoked === true) return 'revoked';
  if (document.suspendedBy !== undefined) return 'suspended';
  return document.expiresAtMs !== undefined && document.expiresAtMs <= nowMs ? 'expired' : 'active';
}

/** The first end among the declared keys of a path, root first. A sub-agent key's own end is in its document. */
function firstEnd(
  tx: Tx,
  { specs, policy }: LiveState,
  path: readonly KeyName[],
): { readonly key: KeyName; readonly atMs: number } | undefined {
  const ends = path.flatMap((key) => {
    const { expiresAtMs, ttlMs } = specs.get(key) ?? {};
    const createdAtMs = ttlMs === undefined ? null : (policy.createdAtMs?.get(key) ?? tx.keys.createdAt(key));
    const ttlEndMs = ttlMs === undefined || createdAtMs === null ? undefined : createdAtMs + ttlMs;
    return [expiresAtMs, ttlEndMs].filter((atMs) => atMs !== undefined).map((atMs) => ({ key, atMs }));
  });
  return ends.toSorted((a, b) => a.atMs - b.atMs)[0];
}

/** What remains of an account's dollar cap; undefined if it has none. */
function remainingOf({ capNanoUsd, spentNanoUsd, burnedNanoUsd }: Account): NanoUsd | undefined {
  return capNanoUsd === undefined ? undefined : Math.max(0, Number(capNanoUsd) - Number(spentNanoUsd) - Number(burnedNanoUsd));
}

function limitListing(account: Account): LimitListing {
  const { key, window, capNanoUsd, spentNanoUsd, requestsCap, requestsUsed, windowEnd: endsAt } = account;
  const remaining = remainingOf(account);
  return {
    key,
    window,
    ...defined({ capUsd: capNanoUsd === undefined ? undefined : formatUsd(Number(capNanoUsd)) }),
    spentUsd: formatUsd(Number(spentNanoUsd)),
    ...defined({ remainingUsd: remaining === undefined ? undefined : formatUsd(remaining), requestsCap }),
    requestsUsed,
    ...defined({ endsAt }),
  };
}
