import { allot } from '../../core/budget/bank.ts';
import type { BookedGrant } from '../../core/budget/books.ts';
import { closeGrant, creditGrant } from '../../core/budget/grant.ts';
import { slotsAt } from '../../core/budget/slot.ts';
import type { NanoUsd } from '../../core/money.ts';
import { grantId, type StreamId } from '../../core/names.ts';
import type { AccountPlan } from '../../core/policy/documents.ts';
import type { Grant, GrantDenial, GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { EpochRow, Tx } from '../store/types.ts';
import { booksOf } from './books.ts';
import { escrowOf } from './escrow.ts';

/** A proxy that holds more is not giving back what has expired. */
const mostOpenGrants = 256;

/** What was burned of one grant; written into `epoch_abandoned`, so that a credit can name it. */
export interface Burned {
  readonly grant: string;
  readonly nano: NanoUsd;
}

/**
 * Grants money, requests and rate to a stream, out of every account on the key's path at once. Only evidence earns money: the
 * stream must be stored up to the head that the ask names, its epoch the newest and not ended, and no earlier one may still hold
 * anything. The same ask again gets the same grant. Throws RangeError for figures that are no whole numbers ≥ 0.
 */
export function grant(tx: Tx, ask: GrantRequest, plan: AccountPlan): GrantReply {
  checkFigures(ask);
  const row = tx.streams.lastEpoch(ask.stream);
  const reason = unevidenced(tx, row, ask, plan);
  if (reason !== null) return { denial: unavailable(ask.stream, reason) };
  // Its proxy was taken for gone and is not. What burned stays so; that it may go on keeps its key from being dead on that Pod.
  if (row?.state === 'abandoned') tx.streams.putEpoch({ ...row, state: 'open' });
  const askId = `${ask.stream}|${ask.epoch}|${ask.askId}`;
  const nowMs = tx.now();
  const books = booksOf(tx);
  const earlier = tx.ledger.grantByAsk(askId);
  if (earlier !== null) {
    const booked = books.grant(earlier.id);
    return booked?.open === true
      ? { grant: reply(booked, ask, nowMs) }
      : { denial: unavailable(ask.stream, 'this ask was answered and its grant has ended: ask with a new askId') };
  }
  const escrow = escrowOf(books, plan, nowMs);
  if (escrow !== null && 'denial' in escrow) return escrow;
  const full = { ...ask, heldNano: ask.heldNano ?? 0, id: grantId(tx.incarnation, askId), askId, key: plan.key };
  const allotted = allot(books, full, slotsAt(plan, nowMs), escrow, nowMs);
  if (!('grant' in allotted)) return { denial: allotted };
  return { grant: { ...reply(allotted.grant, ask, nowMs), ...remainder(allotted.remainderNano) } };
}

/** Burns what an epoch still holds. Late entries are then charged to what was burned. The caller sets the epoch's state. */
export function abandon(tx: Tx, stream: StreamId, epoch: number): readonly Burned[] {
  const books = booksOf(tx);
  return books
    .openGrants(stream, epoch)
    .map((open) => closeGrant(books, open, 'burn', tx.now()))
    .map((closed) => ({ grant: closed.id, nano: closed.burned.nano }));
}

/**
 * Gives burned money back to the accounts, for an administrator who knows that no late entry can come; the caller writes
 * `credited`. Grants that burned nothing are passed over. Returns the sum in nano-USD.
 */
export function credit(tx: Tx, grants: readonly string[]): NanoUsd {
  const books = booksOf(tx);
  return grants.reduce((sum, id) => {
    const booked = books.grant(id);
    return booked === null || booked.open ? sum : sum + creditGrant(books, booked);
  }, 0);
}

/** Why a stream may have no more money; null where it may. */
function unevidenced(tx: Tx, row: EpochRow | null, ask: GrantRequest, plan: AccountPlan): string | null {
  if (row === null || row.key !== plan.key || row.epoch < ask.epoch) return `epoch ${ask.epoch} is not open for ${plan.key}: open an epoch`;
  if (row.epoch > ask.epoch) return `epoch ${ask.epoch} is superseded by ${row.epoch}`;
  if (row.state !== 'open' && row.state !== 'abandoned') return `epoch ${ask.epoch} is ${row.state}: open an epoch`;
  if (row.lastSeq < ask.head) return `entries are stored up to ${row.lastSeq} of ${ask.head}: ship the rest`;
  const [oldest] = tx.ledger.openEpochs(ask.stream);
  if (oldest === undefined) return null;
  if (oldest.epoch < ask.epoch) return `epoch ${oldest.epoch} still holds grants: ship its entries and epoch_recovered`;
  if (oldest.grants >= mostOpenGrants) return `${mostOpenGrants} grants are open: release some`;
  return null;
}

function unavailable(stream: StreamId, reason: string): GrantDenial {
  return { code: 'grant_unavailable', limitedBy: stream, message: `${stream}: ${reason}`, retryAfterSeconds: 1, availableNano: 0 };
}

function reply(booked: BookedGrant, ask: GrantRequest, nowMs: number): Grant {
  const { nano, requests, tokens } = booked.amount;
  return {
    id: booked.id,
    key: booked.key,
    amountNano: nano,
    ...(requests === undefined ? {} : { requests }),
    // A call larger than the whole rate was let through: it may use what it estimated, and what it uses is charged.
    ...(tokens === undefined ? {} : { tokens: Math.max(tokens, ask.tokens) }),
    validAfterMs: 0,
    ...(booked.endMs === undefined ? {} : { validForMs: Math.max(0, booked.endMs - nowMs) }),
  };
}

function remainder(nano: NanoUsd | undefined): Pick<Grant, 'remainderNano'> {
  return nano === undefined ? {} : { remainderNano: nano };
}

function checkFigures(ask: GrantRequest): void {
  const { heldNano = 0, atLeastNano, boundNano, wantNano, atLeastRequests, wantRequests, tokens } = ask;
  for (const figure of [heldNano, atLeastNano, boundNano, wantNano, atLeastRequests, wantRequests, tokens]) {
    if (!Number.isSafeInteger(figure) || figure < 0) throw new RangeError(`${ask.stream} asks for ${figure}: not a whole number ≥ 0`);
  }
}
