import { defined } from '../../../core/json.ts';
import { type KeyName, keyName } from '../../../core/names.ts';
import { type KeyListing, type LimitListing, nearLimit } from '../../keys/listing.ts';
import type { PolicyHost } from '../policy/host.ts';

/** How long a listing is used: it reads every key in one transaction. */
const listingMs = 1_000;

/** The spend of a key in its status, all of one window, with `spent` and `remaining` as decimal dollars. */
export interface Spend {
  readonly spent: string;
  /** Absent: no dollar limit on the path. */
  readonly remaining?: string;
  readonly window?: string;
  readonly windowEndsAt?: string;
  readonly requestsUsed?: number;
  readonly activeProxies: number;
}

/** When a key ends. */
export interface End {
  readonly atMs: number;
  /** The ancestor that sets this end; absent if the key itself does. */
  readonly by?: KeyName;
}

/** What a key's status says of its money and time. */
interface ShownSpend {
  readonly spend: Spend;
  readonly isCapped: boolean;
  /** The limit on its path that is nearly used up; null: there is none. */
  readonly near: LimitListing | null;
  readonly end: End | null;
}

interface Shown {
  readonly spend: Spend;
  readonly atMs: number;
}

/** The spend that status shows. It changes rarely, because not every call may cause a write. */
export class SpendBook {
  readonly #host: Pick<PolicyHost, 'list' | 'activeProxies'>;
  readonly #refreshMs: number;
  readonly #clock: () => number;
  readonly #shown = new Map<KeyName, Shown>();
  #listings: ReadonlyMap<KeyName, KeyListing> = new Map();
  #proxies: ReadonlyMap<KeyName, number> = new Map();
  #listedMs = Number.NEGATIVE_INFINITY;

  /** `clock` in milliseconds. */
  constructor(host: Pick<PolicyHost, 'list' | 'activeProxies'>, refreshMs: number, clock: () => number) {
    this.#host = host;
    this.#refreshMs = refreshMs;
    this.#clock = clock;
  }

  /** The spend to show from now on; it changes at most once each `refreshMs`. */
  show(key: KeyName): ShownSpend {
    const listing = this.#listing(key);
    const isCapped = listing?.remainingUsd !== undefined;
    const rest = { isCapped, near: (listing && nearLimit(listing)) ?? null, end: endOf(listing) };
    const last = this.#shown.get(key);
    const isRecent = last !== undefined && this.#clock() - last.atMs < this.#refreshMs;
    // A limit that was added or removed is shown at once.
    if (isRecent && (last.spend.remaining !== undefined) === isCapped) return { spend: last.spend, ...rest };
    const spend = this.#current(key);
    if (last === undefined || !isSame(last.spend, spend)) this.#shown.set(key, { spend, atMs: this.#clock() });
    return { spend, ...rest };
  }

  /** Returns keys whose spend differs from what is shown, so that the next `show` may change it. Call it once each `refreshMs`. */
  takeDue(): readonly KeyName[] {
    const due = [...this.#shown].filter(([key, { spend }]) => !isSame(spend, this.#current(key)));
    // Spend that was shown just after the last refresh must not wait for two refreshes.
    for (const [key, { spend }] of due) this.#shown.set(key, { spend, atMs: Number.NEGATIVE_INFINITY });
    return due.map(([key]) => key);
  }

  forget(key: KeyName): void {
    this.#shown.delete(key);
  }

  /** Drops the listing after a change of policy, because it lacks new keys and limits. */
  renew(): void {
    this.#listedMs = Number.NEGATIVE_INFINITY;
  }

  #listing(key: KeyName): KeyListing | undefined {
    if (this.#clock() - this.#listedMs >= listingMs) {
      this.#listings = new Map(this.#host.list().map((row) => [keyName(row.namespace, row.name), row]));
      this.#proxies = this.#host.activeProxies();
      this.#listedMs = this.#clock();
    }
    return this.#listings.get(key);
  }

  #current(key: KeyName): Spend {
    return spendOf(this.#listing(key), this.#proxies.get(key) ?? 0);
  }
}

/** Spend from a listing: of the dollar window with the smallest remainder, otherwise of the key's own window of requests. */
export function spendOf(listing: KeyListing | undefined, activeProxies: number): Spend {
  if (listing === undefined) return { spent: '0.00', activeProxies };
  const { namespace, name, limits, spentUsd, remainingUsd } = listing;
  const tightest = limits.find((limit) => limit.remainingUsd !== undefined && limit.remainingUsd === remainingUsd);
  const shown = tightest ?? limits.find(({ key }) => key === keyName(namespace, name));
  return {
    spent: shown?.spentUsd ?? spentUsd,
    ...defined({ remaining: remainingUsd, window: shown?.window, requestsUsed: shown?.requestsUsed, windowEndsAt: shown?.endsAt }),
    activeProxies,
  };
}

/** When a listed key ends; null: never. */
export function endOf(listing: KeyListing | undefined): End | null {
  if (listing?.expiresAt === undefined) return null;
  return { atMs: Date.parse(listing.expiresAt), ...defined({ by: listing.expiresBy }) };
}

function isSame(one: Spend, other: Spend): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
