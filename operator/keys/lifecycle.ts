import type { KeyName } from '../../core/names.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import { endEscrow } from '../ledger/escrow.ts';
import type { ChildRow, TokenRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { livingChildren } from './children.ts';
import type { Policy } from './policy.ts';
import { addToken, openToken, tokensOf } from './tokens.ts';

/** What beginning a key's life needs. A life lasts from the first adoption of a declared key to its deletion. */
export interface LifeDeps extends SealDeps {
  readonly record: RecordEvent;
}

/**
 * Gives every declared key its life and its token. It replaces a token that this root key does not open. It skips tokens for
 * which `isOpened` is true: this process has read or made them.
 */
export function beginLives(
  tx: Tx,
  { manifests, uids }: Policy,
  deps: LifeDeps & { readonly isOpened: (token: TokenRow) => boolean },
): void {
  for (const { name: key, spec } of manifests.virtualKeys) {
    const createdAtMs = tx.keys.createdAt(key);
    const uid = uids?.get(key);
    if (createdAtMs === null || (uid !== undefined && tx.keys.uid(key) === null)) tx.keys.putCreatedAt(key, createdAtMs ?? tx.now(), uid);
    if (createdAtMs === null) deps.record(tx, { type: 'key_created', object: keyObject(key), detail: { by: 'manifest' } });
    const { current, revoked } = tokensOf(tx.keys, key, tx.now());
    if (!spec.issueToken || revoked) continue;
    if (current !== null && (deps.isOpened(current) || openToken(current, deps.rootKey) !== null)) continue;
    if (current !== null) {
      tx.keys.dropToken(current.id);
      deps.record(tx, { type: 'key_rotated', object: keyObject(key), detail: { reason: 'its token could not be opened' } });
    }
    addToken(tx.keys, key, tx.now(), deps);
  }
}

/** Declared keys whose life continues. A key that was deleted and re-created, at any time, begins a new life. */
export function continuingKeys(tx: Tx, { manifests, uids }: Policy): ReadonlySet<KeyName> {
  const isReborn = (key: KeyName): boolean => {
    const [was, is] = [tx.keys.uid(key), uids?.get(key)];
    return was !== null && is !== undefined && was !== is;
  };
  return new Set(manifests.virtualKeys.map(({ name }) => name).filter((key) => !isReborn(key)));
}

/** Ends the lives of all keys except these: their tokens are dead, their accounts remain. */
export function endLives(tx: Tx, continuing: ReadonlySet<KeyName>, record: RecordEvent): void {
  for (const key of tx.keys.names()) {
    if (continuing.has(key)) continue;
    tx.keys.forget(key);
    record(tx, { type: 'key_revoked', object: keyObject(key), detail: { reason: 'its manifest was deleted' } });
  }
}

/**
 * Declared keys that must have no token, and so no sub-agent keys. A stand-in does not count: once its object is fixed,
 * the key has the token that its Pods hold.
 */
export function keysWithoutToken({ manifests, standIns }: Policy): ReadonlySet<KeyName> {
  const declared = manifests.virtualKeys.filter(({ name }) => standIns?.has(name) !== true);
  return new Set(declared.filter(({ spec }) => !spec.issueToken).map(({ name }) => name));
}

/** Ends the tokens and sub-agent keys of these keys permanently. A revoked key stays revoked, even if its manifest changes. */
export function endTokens(tx: Tx, of: ReadonlySet<KeyName>, record: RecordEvent): void {
  for (const key of of) {
    if (tokensOf(tx.keys, key, tx.now()).current === null) continue;
    for (const { id } of tx.keys.tokens(key)) tx.keys.dropToken(id);
    record(tx, { type: 'key_revoked', object: keyObject(key), detail: { reason: 'its manifest has issueToken: false' } });
  }
  for (const row of tx.keys.children()) if (of.has(row.parent)) endChild(tx, row, `${row.parent} has no token any more`, record);
}

/** Ends sub-agent keys that are past their end, or that have none of these declared keys as ancestor. */
export function endOrphans(tx: Tx, declared: ReadonlySet<KeyName>, record: RecordEvent): void {
  const rows = tx.keys.children();
  const living = new Set(livingChildren(rows, declared, tx.now()));
  for (const row of rows) if (!living.has(row)) endChild(tx, row, 'it or its parent has ended', record);
}

/** Ends a sub-agent key. When its proxies' grants close, what they hold returns to the parent. */
export function endChild(tx: Tx, { key, parent }: ChildRow, reason: string, record: RecordEvent): void {
  endEscrow(tx, key);
  tx.keys.dropChild(key);
  tx.keys.forget(key);
  record(tx, { type: 'key_revoked', object: keyObject(key), detail: { reason, parent } });
}
