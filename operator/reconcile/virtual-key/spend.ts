import type { KeyName } from '../../../core/names.ts';
import type { KeyListing } from '../../keys/desk.ts';
import type { PolicyHost } from '../policy/host.ts';
import { type End, endOf, type Spend, spendOf } from './status.ts';

/** One listing reads every key in one transaction; it serves for this long. */
const listingMs = 1_000;

/** What keys have spent, as their status shows it: a number that changes with each call must not mean a write with each call. */
export interface SpendBook {
  /** What to show of a key now: at most one change each `refreshMs`. */
  shown(key: KeyName): { readonly spend: Spend; readonly isCapped: boolean; readonly end: End | null };
  /** Keys of which something else is to be shown now; asked for once each `refreshMs`. */
  due(): readonly KeyName[];
  forget(key: KeyName): void;
  /** Another policy is served: a listing from before it knows nothing of new keys and limits. */
  renew(): void;
}

interface Shown {
  readonly spend: Spend;
  readonly atMs: number;
}

/** An empty book. `clock` in milliseconds. */
export function createSpendBook(host: Pick<PolicyHost, 'list' | 'activeProxies'>, refreshMs: number, clock: () => number): SpendBook {
  const shown = new Map<KeyName, Shown>();
  let listings: ReadonlyMap<string, KeyListing> = new Map();
  let proxies: ReadonlyMap<KeyName, number> = new Map();
  let listedMs = Number.NEGATIVE_INFINITY;

  function listing(key: KeyName): KeyListing | undefined {
    if (clock() - listedMs >= listingMs) {
      listings = new Map(host.list().map((row) => [`${row.namespace}/${row.name}`, row]));
      proxies = host.activeProxies();
      listedMs = clock();
    }
    return listings.get(key);
  }

  function current(key: KeyName): Spend {
    return spendOf(listing(key), proxies.get(key) ?? 0);
  }

  return {
    shown(key) {
      const isCapped = listing(key)?.remainingUsd !== undefined;
      const end = endOf(listing(key));
      const last = shown.get(key);
      const hasRoom = last !== undefined && clock() - last.atMs < refreshMs;
      // A limit that was added or taken away is shown at once.
      if (hasRoom && (last.spend.remaining !== undefined) === isCapped) return { spend: last.spend, isCapped, end };
      const spend = current(key);
      if (last === undefined || !sameSpend(last.spend, spend)) shown.set(key, { spend, atMs: clock() });
      return { spend, isCapped, end };
    },
    due() {
      const due = [...shown].filter(([key, { spend }]) => !sameSpend(spend, current(key)));
      // Whoever asks does so once each refresh: what was shown moments after the last time must not wait for the next but one.
      for (const [key, { spend }] of due) shown.set(key, { spend, atMs: Number.NEGATIVE_INFINITY });
      return due.map(([key]) => key);
    },
    forget: (key) => void shown.delete(key),
    renew() {
      listedMs = Number.NEGATIVE_INFINITY;
    },
  };
}

function sameSpend(a: Spend, b: Spend): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
