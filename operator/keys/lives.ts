import { hash } from 'node:crypto';
import type { OperatorBody } from '../../core/audit/types.ts';
import type { KeyName } from '../../core/names.ts';
import { endEscrow } from '../ledger/escrow.ts';
import type { ChildRow, TokenRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { livingChildren } from './children.ts';
import type { Policy } from './policy.ts';
import { openToken } from './token-seal.ts';
import { addToken, tokensOf } from './tokens.ts';

/** Writes one line of the operator's own stream. */
export type RecordEvent = (tx: Tx, event: Pick<OperatorBody, 'type' | 'object' | 'detail'> & { readonly actor?: string }) => void;

/** What lives begin and end with. */
export interface LifeDeps extends SealDeps {
  readonly record: RecordEvent;
}

/**
 * Gives every declared key its life and its token. A token that cannot be read any more (another root key) is replaced; those
 * that are `served` were read or made since the start, and are not tried again.
 */
export function beginLives(tx: Tx, { manifests, uids }: Policy, deps: LifeDeps & { readonly served: (token: TokenRow) => boolean }): void {
  for (const { name: key, spec } of manifests.virtualKeys) {
    const createdAtMs = tx.keys.createdAt(key);
    const uid = uids?.get(key);
    if (createdAtMs === null || (uid !== undefined && tx.keys.uid(key) === null)) tx.keys.putCreatedAt(key, createdAtMs ?? tx.now(), uid);
    if (createdAtMs === null) deps.record(tx, { type: 'key_created', object: `VirtualKey ${key}`, detail: { by: 'manifest' } });
    const { current, revoked } = tokensOf(tx.keys, key, tx.now());
    if (!spec.issueToken || revoked) continue;
    if (current !== null && (deps.served(current) || openToken(current, deps.rootKey) !== null)) continue;
    if (current !== null) {
      tx.keys.dropToken(current.id);
      deps.record(tx, { type: 'key_rotated', object: `VirtualKey ${key}`, detail: { reason: 'its token could not be opened' } });
    }
    addToken(tx.keys, key, tx.now(), deps);
  }
}

/** Declared keys whose life may go on: those that were deleted and made again, whenever that was, begin a new one. */
export function continuing(tx: Tx, { manifests, uids }: Policy): ReadonlySet<KeyName> {
  const isReborn = (key: KeyName): boolean => {
    const [was, is] = [tx.keys.uid(key), uids?.get(key)];
    return was !== null && is !== undefined && was !== is;
  };
  return new Set(manifests.virtualKeys.map(({ name }) => name).filter((key) => !isReborn(key)));
}

/** Ends the lives of all keys but these: their tokens are dead, their accounts stay. */
export function endLives(tx: Tx, standing: ReadonlySet<KeyName>, record: RecordEvent): void {
  for (const key of tx.keys.names()) {
    if (standing.has(key)) continue;
    tx.keys.forget(key);
    record(tx, { type: 'key_revoked', object: `VirtualKey ${key}`, detail: { reason: 'its manifest was deleted' } });
  }
}

/**
 * Declared keys that are to have no token, and hence no sub-agent keys. What stands in for a key that cannot be served says
 * nothing of that: mended, the key has the token that its Pods hold.
 */
export function withoutToken({ manifests, standIns }: Policy): ReadonlySet<KeyName> {
  const declared = manifests.virtualKeys.filter(({ name }) => standIns?.has(name) !== true);
  return new Set(declared.filter(({ spec }) => !spec.issueToken).map(({ name }) => name));
}

/** Ends the tokens and the sub-agent keys of these keys for good. One that was revoked stays so, whatever its manifest says later. */
export function endTokens(tx: Tx, of: ReadonlySet<KeyName>, record: RecordEvent): void {
  for (const key of of) {
    if (tokensOf(tx.keys, key, tx.now()).current === null) continue;
    for (const { id } of tx.keys.tokens(key)) tx.keys.dropToken(id);
    record(tx, { type: 'key_revoked', object: `VirtualKey ${key}`, detail: { reason: 'its manifest has issueToken: false' } });
  }
  for (const row of tx.keys.children()) if (of.has(row.parent)) endChild(tx, row, `${row.parent} has no token any more`, record);
}

/** Ends sub-agent keys that are past their end, or that none of these declared keys is left above. */
export function endOrphans(tx: Tx, declared: ReadonlySet<KeyName>, record: RecordEvent): void {
  const rows = tx.keys.children();
  const living = new Set(livingChildren(rows, declared, tx.now()));
  for (const row of rows) if (!living.has(row)) endChild(tx, row, 'it or its parent has ended', record);
}

/** Ends a sub-agent key. What its proxies still hold goes back to the parent as their grants close. */
export function endChild(tx: Tx, { key, parent }: ChildRow, reason: string, record: RecordEvent): void {
  endEscrow(tx, key);
  tx.keys.dropChild(key);
  tx.keys.forget(key);
  record(tx, { type: 'key_revoked', object: `VirtualKey ${key}`, detail: { reason, parent } });
}

/** `sha256:…` of a text. */
export function digestOf(text: string): string {
  return `sha256:${hash('sha256', text)}`;
}
