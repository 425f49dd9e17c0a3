import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import type { AccountView } from '../../core/protocol/money.ts';
import { tokenHint } from '../../core/token.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import { type CreditOrder, giveBack } from '../ledger/credit.ts';
import { type UnmeasuredCharge, unmeasuredCharges } from '../ledger/unmeasured.ts';
import { view } from '../ledger/view.ts';
import type { Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { endChild } from './lifecycle.ts';
import { type KeyListing, listingOf, stateOf } from './listing.ts';
import type { LiveState } from './live-state.ts';
import type { Change, Registry } from './registry.ts';
import { revokeTokens, rotateToken } from './tokens.ts';

/** The result of a rotation. The token itself is in its file or Secret, for its holder only. */
export interface RotatedKey {
  readonly hint: string;
  /** When the previous token stops working; absent: it already has. */
  readonly previousValidUntil?: string;
}

/** Why a key could not be rotated. */
export type RotateRefusal = 'unknown' | 'sub-agent' | 'no-token';

/** An administrator's order to give back charges that nobody measured. */
export interface KeyCredit extends CreditOrder {
  readonly actor: string;
  readonly reason: string;
}

/** What was given back, and the key's charges after that. */
export interface CreditedKey {
  readonly creditedNano: NanoUsd;
  readonly charges: readonly UnmeasuredCharge[];
}

/** Why nothing was given back: there is no such key, or only this much can be given back now. */
export type CreditRefusal = 'unknown' | { readonly creditableNano: NanoUsd };

/** What an administrator can do with keys. */
export interface KeyDesk {
  list(): readonly KeyListing[];
  /** The state of every key, without its money: it reads no account. */
  states(): readonly KeyListing['state'][];
  /** Null if there is no such key. */
  account(key: KeyName): AccountView | null;
  /**
   * Ends its tokens and sub-agent keys now. Only `rotate`, or deleting and re-creating the manifest, brings the key back.
   * False if there is no such key.
   */
  revoke(key: KeyName, actor: string): boolean;
  /** Makes a new token now; `overlapMs` defaults to the manifest's `rotation.overlap`, then to 0. */
  rotate(key: KeyName, overlapMs: number | undefined, actor: string): RotatedKey | RotateRefusal;
  /** The charges of a key, also of one that has ended, that nobody measured; null if there is no such key. */
  unmeasured(key: KeyName): readonly UnmeasuredCharge[] | null;
  /** Gives back such charges, after somebody checked what the provider billed, and records it. A second time gives nothing back. */
  credit(order: KeyCredit): CreditedKey | CreditRefusal;
}

/** What the desk needs. */
interface KeyDeskDeps extends SealDeps {
  readonly registry: Registry;
  readonly record: RecordEvent;
  /** Called when money may have been released. */
  readonly onRelease: () => void;
}

/** Makes the desk over the registry. */
export function createKeyDesk(deps: KeyDeskDeps): KeyDesk {
  const { registry, record, onRelease } = deps;
  return {
    list: () => registry.read((tx, live) => [...live.plans.keys()].map((key) => listingOf(tx, live, key))),
    states: () => registry.read((tx, live) => [...live.plans.keys()].map((key) => stateOf(live, key, tx.now()))),
    account: (key) =>
      registry.read((tx, live) => {
        const plan = live.plans.get(key);
        return plan === undefined ? null : view(tx, plan);
      }),
    revoke(key, actor) {
      const found = registry.change((tx, live) => revoke({ tx, live, key, actor }, record));
      if (found) onRelease();
      return found;
    },
    rotate: (key, overlapMs, actor) => registry.change((tx, live) => rotate({ tx, live, key, actor }, overlapMs, deps)),
    unmeasured: (key) => registry.read((tx, live) => unmeasuredOf(tx, live, key)),
    credit(order) {
      const outcome = registry.change((tx, live) => ({ changed: false, value: credit(tx, live, order, record) }));
      if (typeof outcome === 'object' && 'creditedNano' in outcome) onRelease();
      return outcome;
    },
  };
}

/** An administrator's action on one key. */
interface Act {
  readonly tx: Tx;
  readonly live: LiveState;
  readonly key: KeyName;
  readonly actor: string;
}

function revoke({ tx, live, key, actor }: Act, record: RecordEvent): Change<boolean> {
  const child = live.children.find((row) => row.key === key);
  if (child === undefined && !live.specs.has(key)) return { changed: false, value: false };
  for (const row of live.children) if (row.parent === key || row === child) endChild(tx, row, `revoked with ${key}`, record);
  if (child === undefined && revokeTokens(tx.keys, key, tx.now())) {
    record(tx, { type: 'key_revoked', object: keyObject(key), actor, detail: { reason: 'revoked' } });
  }
  return { changed: true, value: true };
}

function rotate(
  { tx, live, key, actor }: Act,
  overlap: number | undefined,
  { record, rootKey, random }: KeyDeskDeps,
): Change<RotatedKey | RotateRefusal> {
  const spec = live.specs.get(key);
  if (spec === undefined) return { changed: false, value: live.documents.has(key) ? 'sub-agent' : 'unknown' };
  if (!spec.issueToken) return { changed: false, value: 'no-token' };
  const overlapMs = overlap ?? spec.rotation?.overlapMs ?? 0;
  const previous = live.tokens.get(key)?.current ?? null;
  const token = rotateToken(tx.keys, key, tx.now(), { rootKey, random, overlapMs });
  record(tx, { type: 'key_rotated', object: keyObject(key), actor, detail: { overlapMs: String(overlapMs) } });
  const previousValidUntil = previous !== null && overlapMs > 0 ? new Date(tx.now() + overlapMs).toISOString() : undefined;
  return { changed: true, value: { hint: tokenHint(token), ...defined({ previousValidUntil }) } };
}

/** A key that has ended, for example of a run, has accounts as long as it has charges. */
function unmeasuredOf(tx: Tx, live: LiveState, key: KeyName): readonly UnmeasuredCharge[] | null {
  const charges = unmeasuredCharges(tx, key);
  return charges.length > 0 || live.plans.has(key) ? charges : null;
}

function credit(tx: Tx, live: LiveState, { actor, reason, ...order }: KeyCredit, record: RecordEvent): CreditedKey | CreditRefusal {
  const { key } = order;
  if (unmeasuredOf(tx, live, key) === null) return 'unknown';
  const outcome = giveBack(tx, order);
  if ('creditableNano' in outcome) return outcome;
  const { parts } = outcome;
  const creditedNano = parts.reduce((sum, { nanoUsd }) => sum + Number(nanoUsd), 0);
  const detail = { nanoUsd: String(creditedNano), reason };
  record(tx, { type: 'credited', object: keyObject(key), actor, detail, credit: { key, parts } });
  return { creditedNano, charges: unmeasuredCharges(tx, key) };
}
