import type { Claims, EscrowLimit } from '../../core/budget/account-limit.ts';
import type { Denial } from '../../core/budget/denial.ts';
import { closeGrant } from '../../core/budget/grant.ts';
import { grantFrom } from '../../core/budget/grant-from-accounts.ts';
import type { Ledger } from '../../core/budget/ledger.ts';
import { windowAccountsAt } from '../../core/budget/window-account.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import { escrowStream, grantId, type KeyName, type StreamId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { Tx } from '../store/types.ts';
import { ledgerOf } from './tx-ledger.ts';

/**
 * Sets money of the whole parent path aside for a sub-agent key: a grant whose holder is the child. The child's own grants
 * come out of it. It is valid until `expiresAtMs`, the earliest window end on the parent's path; absent: no end.
 * Throws if the child already has one.
 */
export function mintEscrow(
  tx: Tx,
  parentPlan: AccountPlan,
  { child, usdNano, claims }: { readonly child: KeyName; readonly usdNano: NanoUsd; readonly claims: Claims },
): { readonly expiresAtMs?: number } | { readonly denial: Denial } {
  const ledger = ledgerOf(tx);
  const nowMs = tx.now();
  const stream = escrowStream(child);
  if (ledger.openGrants(stream, 0).length > 0) throw new Error(`${child} already has an escrow`);
  const escrow = escrowOf(ledger, parentPlan, nowMs);
  if (escrow !== null && 'denial' in escrow) return escrow;
  const askId = freshAskId(tx, stream);
  const request = {
    id: grantId(tx.incarnation, askId),
    askId,
    key: child,
    stream,
    epoch: 0,
    escrowFor: child,
    heldNano: 0,
    atLeastNano: usdNano,
    preferredNano: usdNano,
    boundNano: usdNano,
    wantNano: usdNano,
    atLeastRequests: 0,
    wantRequests: 0,
    tokens: 0,
    acceptsLess: true,
  } as const;
  const accounts = windowAccountsAt(parentPlan, nowMs).filter(({ window }) => window !== 'Minute');
  const result = grantFrom({ ledger, request, accounts, escrow, claims, nowMs });
  return 'grant' in result ? defined({ expiresAtMs: result.grant.endMs }) : { denial: result };
}

/** Returns what a child's proxies do not hold to the parent's path; the rest follows when their grants close. Idempotent. */
export function endEscrow(tx: Tx, child: KeyName): void {
  const ledger = ledgerOf(tx);
  for (const escrow of ledger.openGrants(escrowStream(child), 0)) closeGrant(ledger, escrow, 'release', tx.now());
}

/** The escrow that pays for a key: its own or the nearest ancestor's; null if the whole path pays. */
export function escrowOf(ledger: Ledger, plan: AccountPlan, nowMs: number): EscrowLimit | { readonly denial: Denial } | null {
  const node = plan.nodes.findLast(({ escrowNano }) => escrowNano !== undefined);
  if (node?.escrowNano === undefined) return null;
  const { key, escrowNano } = node;
  const [grant] = ledger.openGrants(escrowStream(key), 0);
  if (grant !== undefined && (grant.endMs === undefined || nowMs < grant.endMs)) return { grant, key, capNano: escrowNano };
  const message = `the budget that was set aside for ${key} has expired: create a new sub-agent key`;
  return { denial: { code: 'budget_exhausted', limitedBy: { key, window: 'Total' }, short: [], message, availableNano: 0 } };
}

/** Makes a new askId, because a child of the same name may have existed before. */
function freshAskId(tx: Tx, stream: StreamId): string {
  let life = 0;
  while (tx.ledger.grantByAsk(`${stream}|${life}`) !== null) life += 1;
  return `${stream}|${life}`;
}
