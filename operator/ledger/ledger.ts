import type { Denial } from '../../core/budget/denial.ts';
import { closeGrant } from '../../core/budget/grant.ts';
import { grantFrom } from '../../core/budget/grant-from-accounts.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import { windowAccountsAt } from '../../core/budget/window-account.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import { grantId, type StreamId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { Grant, GrantRequest } from '../../core/protocol/money.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { escrowOf } from './escrow.ts';
import { ledgerOf } from './tx-ledger.ts';

/** Maximum of open grants: a proxy with more does not release expired grants. */
const maxOpenGrants = 256;

/** The burned part of one grant, as `epoch_abandoned` records it. */
export interface Burned {
  readonly grant: string;
  readonly nano: NanoUsd;
}

/** The answer to a request for a grant. */
export type GrantAnswer = { readonly grant: Grant } | { readonly denial: Denial };

/**
 * Grants money, requests and rate to a stream, from every account on the key's path at once. Evidence comes first: the stream
 * must be stored up to the head in the request, its epoch must be the newest and open, and no earlier epoch may hold anything.
 * The same request again gets the same grant. Throws RangeError for figures that are not whole numbers ≥ 0.
 */
export function grant(tx: Tx, request: GrantRequest, plan: AccountPlan): GrantAnswer {
  checkFigures(request);
  const row = tx.streams.lastEpoch(request.stream);
  const reason = unevidenced(tx, row, request, plan);
  if (reason !== null) return unavailable(request.stream, reason);
  // The operator took its proxy for gone by mistake. What burned stays burned. Reopen the epoch, so that its key works on that Pod.
  if (row?.state === 'abandoned') tx.streams.putEpoch({ ...row, state: 'open' });
  const askId = `${request.stream}|${request.epoch}|${request.askId}`;
  const nowMs = tx.now();
  const ledger = ledgerOf(tx);
  const earlier = tx.ledger.grantByAsk(askId);
  if (earlier?.open === true) return { grant: wireGrant(earlier, request, nowMs) };
  if (earlier !== null) return unavailable(request.stream, 'the grant of this request has ended: send a new askId');
  const escrow = escrowOf(ledger, plan, nowMs);
  if (escrow !== null && 'denial' in escrow) return escrow;
  const full = { ...request, heldNano: request.heldNano ?? 0, id: grantId(tx.incarnation, askId), askId, key: plan.key };
  const result = grantFrom({ ledger, request: full, accounts: windowAccountsAt(plan, nowMs), escrow, nowMs });
  if (!('grant' in result)) return { denial: result };
  return { grant: { ...wireGrant(result.grant, request, nowMs), ...defined({ remainderNano: result.remainderNano }) } };
}

/** Burns what an epoch still holds. Late entries are charged to what was burned. The caller sets the epoch's state. */
export function abandon(tx: Tx, stream: StreamId, epoch: number): readonly Burned[] {
  const ledger = ledgerOf(tx);
  return ledger
    .openGrants(stream, epoch)
    .map((open) => closeGrant(ledger, open, 'burn', tx.now()))
    .map((closed) => ({ grant: closed.id, nano: closed.burned.nano }));
}

/** Why a stream may have no more money; null if it may. */
function unevidenced(tx: Tx, row: EpochRow | null, { stream, epoch, head }: GrantRequest, plan: AccountPlan): string | null {
  if (row === null || row.key !== plan.key || row.epoch < epoch) return `epoch ${epoch} is not open for ${plan.key}: open an epoch`;
  if (row.epoch > epoch) return `epoch ${epoch} is superseded by ${row.epoch}`;
  if (row.state !== 'open' && row.state !== 'abandoned') return `epoch ${epoch} is ${row.state}: open an epoch`;
  if (row.lastSeq < head) return `entries are stored up to ${row.lastSeq} of ${head}: ship the rest`;
  const [oldest] = tx.ledger.openEpochs(stream);
  if (oldest === undefined) return null;
  if (oldest.epoch < epoch) return `epoch ${oldest.epoch} still holds grants: ship its entries and epoch_recovered`;
  if (oldest.grants >= maxOpenGrants) return `${maxOpenGrants} grants are open: release some`;
  return null;
}

function unavailable(stream: StreamId, reason: string): { readonly denial: Denial } {
  const message = `${stream}: ${reason}`;
  return { denial: { code: 'grant_unavailable', limitedBy: stream, message, retryAfterSeconds: 1, availableNano: 0 } };
}

function wireGrant({ id, key, amount, endMs }: BookedGrant, request: GrantRequest, nowMs: number): Grant {
  return {
    id,
    key,
    amountNano: amount.nano,
    ...defined({
      requests: amount.requests,
      // A call larger than the whole rate was admitted: it may use its estimate, and its real use is charged.
      tokens: amount.tokens === undefined ? undefined : Math.max(amount.tokens, request.tokens),
    }),
    validAfterMs: 0,
    ...defined({ validForMs: endMs === undefined ? undefined : Math.max(0, endMs - nowMs) }),
  };
}

function checkFigures(request: GrantRequest): void {
  const { heldNano = 0, atLeastNano, boundNano, wantNano, atLeastRequests, wantRequests, tokens } = request;
  for (const figure of [heldNano, atLeastNano, boundNano, wantNano, atLeastRequests, wantRequests, tokens]) {
    if (!Number.isSafeInteger(figure) || figure < 0) throw new RangeError(`${request.stream} requests ${figure}: not a whole number ≥ 0`);
  }
}
