import { formatUsd, type NanoUsd } from '../../core/money.ts';
import { type KeyName, partsOf } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { AccountView } from '../../core/protocol/money.ts';
import { credit } from '../ledger/ledger.ts';
import { spent, view } from '../ledger/view.ts';
import type { Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { endChild, type RecordEvent } from './lives.ts';
import type { Change, Live, Registry } from './registry.ts';
import { revokeTokens, rotateToken } from './tokens.ts';

/** One key as people see it. Money in decimal dollars. */
export interface KeyListing {
  readonly namespace: string;
  readonly name: string;
  /** Set on a sub-agent key. */
  readonly parent?: KeyName;
  /** Absent where there is no token now. */
  readonly hint?: string;
  /** `budget`: issues no token, only holds a budget for others. */
  readonly state: 'active' | 'suspended' | 'expired' | 'revoked' | 'budget';
  /** Over the key's whole life. */
  readonly spentUsd: string;
  /** Left in the tightest window on the path, whatever proxies hold of it; absent: nothing caps the key. */
  readonly remainingUsd?: string;
  readonly limits: readonly LimitListing[];
  readonly expiresAt?: string;
  /** The ancestor whose end `expiresAt` is; absent where it is the key's own. */
  readonly expiresBy?: KeyName;
}

/** One window of one node of the key's path that limits something, root first. */
export interface LimitListing {
  readonly key: KeyName;
  readonly window: string;
  readonly capUsd?: string;
  readonly spentUsd: string;
  /** Not spent and not burned, whatever proxies hold of it; set where `capUsd` is. */
  readonly remainingUsd?: string;
  readonly requestsCap?: number;
  readonly requestsUsed: number;
  readonly endsAt?: string;
}

/** A rotation that was made. The token itself is in its file, for its holder alone. */
export interface RotatedKey {
  readonly hint: string;
  /** Until when the token before it still works; absent: it is dead. */
  readonly previousValidUntil?: string;
}

/** Why a key could not be rotated. */
export type RotateRefusal = 'unknown' | 'sub-agent' | 'no-token';

/** What an administrator does with keys. */
export interface KeyDesk {
  list(): readonly KeyListing[];
  /** The state of every key without its money: no account is read. */
  states(): readonly KeyListing['state'][];
  /** Null where there is no such key. */
  account(key: KeyName): AccountView | null;
  /** Kills its tokens and its sub-agent keys now and for good: only `rotate`, or deleting and re-creating the manifest, brings it back. False where there is no such key. */
  revoke(key: KeyName, actor: string): boolean;
  /** A new token now; `overlapMs` undefined takes the manifest's `rotation.overlap`, else 0. */
  rotate(key: KeyName, overlapMs: number | undefined, actor: string): RotatedKey | RotateRefusal;
  /**
   * Gives back what grants of this key burned (a reboot took the tail of a record), once it is known what the provider billed. Nano-USD;
   * null where there is no such key.
   */
  credit(key: KeyName, actor: string): NanoUsd | null;
}

export interface KeyDeskDeps extends SealDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  /** Called where money may have come back. */
  readonly released: () => void;
}

/** The desk over the registry. */
export function createKeyDesk({ registry, record, released, ...press }: KeyDeskDeps): KeyDesk {
  function revoke(tx: Tx, live: Live, key: KeyName, actor: string): Change<boolean> {
    const child = live.children.find((row) => row.key === key);
    if (child === undefined && !live.specs.has(key)) return { changed: false, value: false };
    for (const row of live.children) if (row.parent === key || row === child) endChild(tx, row, `revoked with ${key}`, record);
    if (child === undefined && revokeTokens(tx.keys, key, tx.now())) {
      record(tx, { type: 'key_revoked', object: `VirtualKey ${key}`, actor, detail: { reason: 'revoked' } });
    }
    return { changed: true, value: true };
  }

  function rotate(
    tx: Tx,
    live: Live,
    key: KeyName,
    how: { readonly overlapMs: number | undefined; readonly actor: string },
  ): Change<RotatedKey | RotateRefusal> {
    const spec = live.specs.get(key);
    if (spec === undefined) return { changed: false, value: live.documents.has(key) ? 'sub-agent' : 'unknown' };
    if (!spec.issueToken) return { changed: false, value: 'no-token' };
    const overlapMs = how.overlapMs ?? spec.rotation?.overlapMs ?? 0;
    const { current = null } = live.tokens.get(key) ?? {};
    rotateToken(tx.keys, key, tx.now(), { ...press, overlapMs });
    record(tx, { type: 'key_rotated', object: `VirtualKey ${key}`, actor: how.actor, detail: { overlapMs: String(overlapMs) } });
    const value: RotatedKey = {
      hint: tx.keys.tokens(key).find(({ validUntilMs }) => validUntilMs === undefined)?.hint ?? '',
      ...(current !== null && overlapMs > 0 && { previousValidUntil: new Date(tx.now() + overlapMs).toISOString() }),
    };
    return { changed: true, value };
  }

  function creditBurned(tx: Tx, live: Live, key: KeyName, actor: string): Change<NanoUsd | null> {
    if (!live.plans.has(key)) return { changed: false, value: null };
    const value = credit(
      tx,
      tx.ledger.closedGrants(key).map(({ id }) => id),
    );
    if (value > 0) record(tx, { type: 'credited', object: `VirtualKey ${key}`, actor, detail: { nanoUsd: String(value) } });
    return { changed: false, value };
  }

  return {
    list: () => registry.read((tx, live) => [...live.plans.keys()].map((key) => listingOf(tx, live, key))),
    states: () => registry.read((tx, live) => [...live.plans.keys()].map((key) => stateOf(live, key, tx.now()))),
    account: (key) =>
      registry.read((tx, live) => {
        const plan = live.plans.get(key);
        return plan === undefined ? null : view(tx, plan);
      }),
    revoke(key, actor) {
      const found = registry.change((tx, live) => revoke(tx, live, key, actor));
      if (found) released();
      return found;
    },
    credit(key, actor) {
      const value = registry.change((tx, live) => creditBurned(tx, live, key, actor));
      if (value !== null && value > 0) released();
      return value;
    },
    rotate: (key, overlapMs, actor) => registry.change((tx, live) => rotate(tx, live, key, { overlapMs, actor })),
  };
}

function listingOf(tx: Tx, live: Live, key: KeyName): KeyListing {
  const plan = live.plans.get(key);
  const accounts = plan === undefined ? [] : view(tx, plan).accounts;
  const limits = accounts.filter(({ capNanoUsd, requestsCap }) => capNanoUsd !== undefined || requestsCap !== undefined);
  const left = limits.flatMap((account) => leftOf(account) ?? []);
  const parent = live.children.find((row) => row.key === key)?.parent;
  const hint = live.tokens.get(key)?.current?.hint;
  const end = firstEnd(tx, live, plan?.path ?? []);
  const expiresAtMs = live.documents.get(key)?.expiresAtMs ?? end?.atMs;
  return {
    ...partsOf(key),
    ...(parent !== undefined && { parent }),
    ...(hint !== undefined && { hint }),
    state: stateOf(live, key, tx.now()),
    spentUsd: formatUsd(spent(tx, key)),
    ...(left.length > 0 && { remainingUsd: formatUsd(Math.min(...left)) }),
    limits: limits.map(limitListing),
    ...(expiresAtMs !== undefined && { expiresAt: new Date(expiresAtMs).toISOString() }),
    ...(end !== undefined && end.key !== key && end.atMs === expiresAtMs && { expiresBy: end.key }),
  };
}

/** The first end among the declared keys of a path, root first; when a sub-agent key ends by itself, its document tells. */
function firstEnd(tx: Tx, { specs, policy }: Live, path: readonly KeyName[]): { readonly key: KeyName; readonly atMs: number } | undefined {
  const ends = path.flatMap((key) => {
    const { expiresAtMs, ttlMs } = specs.get(key) ?? {};
    const createdAtMs = ttlMs === undefined ? null : (policy.createdAtMs?.get(key) ?? tx.keys.createdAt(key));
    const ttlEndMs = ttlMs === undefined || createdAtMs === null ? undefined : createdAtMs + ttlMs;
    return [expiresAtMs, ttlEndMs].filter((atMs) => atMs !== undefined).map((atMs) => ({ key, atMs }));
  });
  return ends.toSorted((a, b) => a.atMs - b.atMs)[0];
}

function stateOf({ documents, tokens }: Live, key: KeyName, nowMs: number): KeyListing['state'] {
  const document: KeyDocument | undefined = documents.get(key);
  if (document === undefined) return 'budget';
  if (tokens.get(key)?.revoked === true) return 'revoked';
  if (document.suspendedBy !== undefined) return 'suspended';
  return document.expiresAtMs !== undefined && document.expiresAtMs <= nowMs ? 'expired' : 'active';
}

/** What an account has left of its dollar cap; undefined where it has none. */
function leftOf({ capNanoUsd, spentNanoUsd, burnedNanoUsd }: AccountView['accounts'][number]): NanoUsd | undefined {
  return capNanoUsd === undefined ? undefined : Math.max(0, Number(capNanoUsd) - Number(spentNanoUsd) - Number(burnedNanoUsd));
}

function limitListing(account: AccountView['accounts'][number]): LimitListing {
  const left = leftOf(account);
  const usd = (nano: string): string => formatUsd(Number(nano) satisfies NanoUsd);
  return {
    key: account.key,
    window: account.window,
    ...(account.capNanoUsd !== undefined && { capUsd: usd(account.capNanoUsd) }),
    spentUsd: usd(account.spentNanoUsd),
    ...(left !== undefined && { remainingUsd: formatUsd(left) }),
    ...(account.requestsCap !== undefined && { requestsCap: account.requestsCap }),
    requestsUsed: account.requestsUsed,
    ...(account.windowEnd !== undefined && { endsAt: account.windowEnd }),
  };
}
