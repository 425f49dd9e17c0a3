import { hash } from 'node:crypto';
import type { OperatorBody } from '../../core/audit/types.ts';
import { type KeyName, tokenId } from '../../core/key.ts';
import type { VirtualKey } from '../../core/manifest/types.ts';
import { endEscrow } from '../ledger/escrow.ts';
import type { ChildRow, Tx } from '../store/types.ts';
import type { TokenFiles } from './token-files.ts';
import { addToken, type Random, tokensOf } from './tokens.ts';

/** Writes one line of the operator's own stream. */
export type RecordEvent = (tx: Tx, event: Pick<OperatorBody, 'type' | 'object' | 'detail'> & { readonly actor?: string }) => void;

/** What lives begin and end with. */
export interface LifeDeps {
  readonly record: RecordEvent;
  readonly files: Pick<TokenFiles, 'read'>;
  readonly random: Random;
}

/**
 * Gives every declared key its life and its token; returns the new tokens, whose files are written once the transaction
 * stands. A crash in between leaves a row whose token nobody has: the next start finds file and row at odds and mints again.
 */
export function beginLives(tx: Tx, declared: readonly VirtualKey[], deps: LifeDeps): ReadonlyMap<KeyName, string> {
  const minted = new Map<KeyName, string>();
  for (const { name: key, spec } of declared) {
    if (tx.keys.createdAt(key) === null) {
      tx.keys.putCreatedAt(key, tx.now());
      deps.record(tx, { type: 'key_created', object: `VirtualKey ${key}`, detail: { by: 'manifest' } });
    }
    const { current, revoked } = tokensOf(tx.keys, key, tx.now());
    if (!spec.issueToken || revoked) continue;
    const held = deps.files.read(key);
    if (current !== null && held !== null && tokenId(held) === current.id) continue;
    if (current !== null) {
      tx.keys.dropToken(current.id);
      deps.record(tx, { type: 'key_rotated', object: `VirtualKey ${key}`, detail: { reason: 'its token file was lost' } });
    }
    minted.set(key, addToken(tx.keys, key, tx.now(), deps.random));
  }
  return minted;
}

/** Ends the lives of keys that no manifest declares any more: their tokens are dead, their accounts stay. */
export function endLives(tx: Tx, declared: ReadonlySet<KeyName>, record: RecordEvent): void {
  for (const key of tx.keys.names()) {
    if (declared.has(key)) continue;
    tx.keys.forget(key);
    record(tx, { type: 'key_revoked', object: `VirtualKey ${key}`, detail: { reason: 'its manifest was deleted' } });
  }
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
