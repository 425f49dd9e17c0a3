import { allot } from '../../core/budget/bank.ts';
import type { Books } from '../../core/budget/books.ts';
import type { EscrowCeiling } from '../../core/budget/ceiling.ts';
import { closeGrant } from '../../core/budget/grant.ts';
import { slotsAt } from '../../core/budget/slot.ts';
import type { NanoUsd } from '../../core/money.ts';
import { escrowStream, grantId, type KeyName, type StreamId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';
import type { Tx } from '../store/types.ts';
import { booksOf } from './books.ts';

/**
 * Sets money of the whole parent path aside for a sub-agent key: a grant whose holder is the child, out of which the child's own
 * grants are taken. It is good until `expiresAtMs`, the earliest window end on the parent's path; absent: no end.
 * Throws where the child has one already.
 */
export function mintEscrow(
  tx: Tx,
  parentPlan: AccountPlan,
  child: KeyName,
  usdNano: NanoUsd,
): { readonly expiresAtMs?: number } | { readonly denial: GrantDenial } {
  const books = booksOf(tx);
  const nowMs = tx.now();
  const stream = escrowStream(child);
  if (books.openGrants(stream, 0).length > 0) throw new Error(`${child} has an escrow already`);
  const parent = escrowOf(books, parentPlan, nowMs);
  if (parent !== null && 'denial' in parent) return parent;
  const askId = freshAskId(tx, stream);
  const slots = slotsAt(parentPlan, nowMs).filter(({ window }) => window !== 'Minute');
  const ask = {
    ...{ id: grantId(tx.incarnation, askId), askId, key: child, stream, epoch: 0, escrowFor: child },
    ...{ heldNano: 0, atLeastNano: usdNano, boundNano: usdNano, wantNano: usdNano },
    ...{ atLeastRequests: 0 as const, wantRequests: 0, tokens: 0 },
  };
  const allotted = allot(books, ask, slots, parent, nowMs);
  if (!('grant' in allotted)) return { denial: allotted };
  return allotted.grant.endMs === undefined ? {} : { expiresAtMs: allotted.grant.endMs };
}

/** Gives what a child's proxies do not hold back to the parent's path; what they hold follows as their grants close. Idempotent. */
export function endEscrow(tx: Tx, child: KeyName): void {
  const books = booksOf(tx);
  for (const escrow of books.openGrants(escrowStream(child), 0)) closeGrant(books, escrow, 'release', tx.now());
}

/** The escrow that pays for a key: its own or the nearest ancestor's; null where the key draws on the whole path. */
export function escrowOf(books: Books, plan: AccountPlan, nowMs: number): EscrowCeiling | { readonly denial: GrantDenial } | null {
  const node = plan.nodes.findLast(({ escrowNano }) => escrowNano !== undefined);
  if (node?.escrowNano === undefined) return null;
  const [grant] = books.openGrants(escrowStream(node.key), 0);
  if (grant !== undefined && (grant.endMs === undefined || nowMs < grant.endMs)) return { grant, key: node.key, capNano: node.escrowNano };
  const message = `the budget that was set aside for ${node.key} has ended: create a new sub-agent key`;
  return { denial: { code: 'budget_exhausted', limitedBy: `${node.key} Total`, message, availableNano: 0 } };
}

/** A child of the same name may have been minted before. */
function freshAskId(tx: Tx, stream: StreamId): string {
  let life = 0;
  while (tx.ledger.grantByAsk(`${stream}|${life}`) !== null) life += 1;
  return `${stream}|${life}`;
}
