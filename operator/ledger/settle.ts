import type { EpochRecoveredBody, PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Amounts } from '../../core/budget/account.ts';
import { charge, closeGrant, leftOf } from '../../core/budget/grant.ts';
import type { Ledger } from '../../core/budget/ledger.ts';
import { formatUsd, type NanoUsd } from '../../core/money.ts';
import type { StreamId } from '../../core/names.ts';
import type { Tx } from '../store/types.ts';
import { ledgerOf } from './tx-ledger.ts';

/** The place of an entry. */
export interface EntryPlace {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly seq: number;
}

/** A note about a settlement. `quarantine`: nothing of the entry was settled. `alarm`: it was settled. */
export interface LedgerNote {
  readonly kind:
    | 'unknown_grant'
    | 'foreign_grant'
    | 'bad_amount'
    | 'overdraft'
    | 'spent_after_close'
    | 'recovery_gap'
    | 'recovered_twice'
    | 'burned';
  readonly severity: 'quarantine' | 'alarm';
  readonly grant?: string;
  readonly nano?: NanoUsd;
  readonly message: string;
}

interface Payment {
  readonly grant: string;
  readonly cost: Amounts;
}

/**
 * Applies one entry to the ledger, in the transaction that stores it. Money settles in no other way. Call it once for each
 * entry that was not stored before. It checks everything before it writes anything.
 */
export function settleEntry(tx: Tx, entry: EntryPlace, body: ProxyBody): readonly LedgerNote[] {
  const ledger = ledgerOf(tx);
  switch (body.type) {
    case 'call': {
      const payments = body.paidFrom.map(paymentOf);
      const notes = [...check(ledger, entry.stream, entry.epoch, payments), ...checkSum(payments, body.costNanoUsd)];
      return notes.length > 0 ? notes : pay(ledger, payments, tx.now());
    }
    case 'release': {
      const notes = check(ledger, entry.stream, entry.epoch, body.grants.map(unpaid));
      if (notes.length === 0) for (const id of body.grants) closeById(ledger, id, tx.now());
      return notes;
    }
    case 'epoch_close':
      for (const grant of ledger.openGrants(entry.stream, entry.epoch)) closeById(ledger, grant.id, tx.now());
      return [];
    case 'epoch_recovered':
      return recover(tx, ledger, entry, body);
    case 'epoch_open':
      return burnEarlier(tx, ledger, entry);
    case 'heartbeat':
    case 'refusals':
      return [];
  }
}

/** Charges calls that were open when an epoch died. Then it releases the rest if the epoch's tail is complete, otherwise it burns the rest. */
function recover(tx: Tx, ledger: Ledger, entry: EntryPlace, body: EpochRecoveredBody): readonly LedgerNote[] {
  const { recoveredEpoch } = body;
  const row = tx.streams.epoch(entry.stream, recoveredEpoch);
  if (row === null || recoveredEpoch >= entry.epoch) {
    return [{ kind: 'recovery_gap', severity: 'quarantine', message: `${entry.stream} has no earlier epoch ${recoveredEpoch} to recover` }];
  }
  const payments = body.charges.flatMap(({ paidFrom }) => paidFrom.map(paymentOf));
  const refused = check(ledger, entry.stream, recoveredEpoch, payments);
  if (refused.length > 0) return refused;

  const due = payments.filter(({ grant }) => ledger.grant(grant)?.recovered === undefined);
  const notes = [...pay(ledger, due, tx.now())];
  if (due.length < payments.length) {
    notes.push({ kind: 'recovered_twice', severity: 'alarm', message: `epoch ${recoveredEpoch} of ${entry.stream} was recovered before` });
  }
  for (const id of new Set(due.map(({ grant }) => grant))) {
    const grant = ledger.grant(id);
    if (grant !== null) ledger.putGrant({ ...grant, recovered: true });
  }
  const complete = row.lastSeq === body.lastSeq;
  if (body.whole && !complete) {
    const message = `epoch ${recoveredEpoch} of ${entry.stream} ends at ${body.lastSeq}, but ${row.lastSeq} is stored: what it held is burned`;
    notes.push({ kind: 'recovery_gap', severity: 'alarm', message });
  }
  const how = body.whole && complete ? 'release' : 'burn';
  for (const { id } of ledger.openGrants(entry.stream, recoveredEpoch)) notes.push(...closeById(ledger, id, tx.now(), how));
  return [...notes, ...burnEarlier(tx, ledger, entry)];
}

/**
 * Burns what earlier epochs hold, because a new epoch without their evidence means that the spool was lost. If the evidence
 * still arrives, it is charged to what was burned.
 */
function burnEarlier(tx: Tx, ledger: Ledger, { stream, epoch }: EntryPlace): readonly LedgerNote[] {
  return tx.ledger
    .openEpochs(stream)
    .filter((open) => open.epoch < epoch)
    .flatMap((open) => ledger.openGrants(stream, open.epoch))
    .flatMap(({ id }) => closeById(ledger, id, tx.now(), 'burn'));
}

function pay(ledger: Ledger, payments: readonly Payment[], nowMs: number): readonly LedgerNote[] {
  const notes: LedgerNote[] = [];
  for (const { grant: id, cost } of payments) {
    const grant = ledger.grant(id);
    if (grant === null) throw new Error(`grant ${id} vanished within a transaction`);
    const nano = charge(ledger, grant, cost, nowMs);
    if (nano === 0) continue;
    const kind = grant.open ? 'overdraft' : 'spent_after_close';
    notes.push({
      kind,
      severity: 'alarm',
      grant: id,
      nano,
      message: `$${formatUsd(nano)} beyond grant ${id} of ${grant.key}: charged as debt`,
    });
  }
  return notes;
}

function closeById(ledger: Ledger, id: string, nowMs: number, how: 'release' | 'burn' = 'release'): readonly LedgerNote[] {
  const grant = ledger.grant(id);
  if (grant === null || !grant.open) return [];
  const { nano } = leftOf(grant);
  closeGrant(ledger, grant, how, nowMs);
  if (how === 'release' || nano === 0) return [];
  return [{ kind: 'burned', severity: 'alarm', grant: id, nano, message: `$${formatUsd(nano)} of grant ${id} of ${grant.key} burned` }];
}

/** Checks that a proxy pays only from grants of its own stream and epoch (I5). */
function check(ledger: Ledger, stream: StreamId, epoch: number, payments: readonly Payment[]): readonly LedgerNote[] {
  const notes: LedgerNote[] = [];
  for (const { grant: id, cost } of payments) {
    const grant = ledger.grant(id);
    if (grant === null) {
      notes.push({
        kind: 'unknown_grant',
        severity: 'quarantine',
        grant: id,
        message: `${stream} names grant ${id}, which does not exist`,
      });
    } else if (grant.stream !== stream || grant.epoch !== epoch) {
      const owner = `${grant.stream} epoch ${grant.epoch}`;
      notes.push({
        kind: 'foreign_grant',
        severity: 'quarantine',
        grant: id,
        message: `${stream} epoch ${epoch} names grant ${id} of ${owner}`,
      });
    }
    if (![cost.nano, cost.requests, cost.tokens].every((amount) => Number.isSafeInteger(amount) && amount >= 0)) {
      notes.push({ kind: 'bad_amount', severity: 'quarantine', grant: id, message: `${stream} names an amount that is no whole number` });
    }
  }
  return notes;
}

/** Checks that a call's payments add up to its cost, so that reported spend is the sum of entries. */
function checkSum(payments: readonly Payment[], costNanoUsd: string): readonly LedgerNote[] {
  const paid = payments.reduce((sum, { cost }) => sum + cost.nano, 0);
  if (paid === amountOf(costNanoUsd)) return [];
  return [{ kind: 'bad_amount', severity: 'quarantine', message: `a call that cost ${costNanoUsd} nano-USD names payments of ${paid}` }];
}

function paymentOf({ grant, costNanoUsd, requests, tokens }: PaidFrom): Payment {
  return { grant, cost: { nano: amountOf(costNanoUsd), requests: requests ?? 0, tokens: tokens ?? 0 } };
}

function unpaid(grant: string): Payment {
  return { grant, cost: { nano: 0, requests: 0, tokens: 0 } };
}

/** Parses a plain decimal integer; NaN if it is not one. */
function amountOf(text: string): number {
  return /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
}
