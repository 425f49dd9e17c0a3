import type { CallBody, CreditPart, EpochRecoveredBody, OperatorBody, PaidFrom } from '../../core/audit/types.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import type { ClosedGrant, Tx } from '../store/types.ts';
import { type LateEntries, lateEntriesOf } from './late-entries.ts';
import { Recoveries } from './recoveries.ts';

/** Bounds the time and memory of a listing: a server that never names usage makes every call an estimate. */
const maxEstimates = 10_000;

/** A charge that nobody measured. */
export interface UnmeasuredCharge {
  /** `estimated`: an entry says so. `recovered`: a call that a crash left open. `burned`: what a grant had left when its record ended. */
  readonly kind: 'estimated' | 'recovered' | 'burned';
  /** When it was charged: by the proxy's clock; of what burned, by the store's. */
  readonly time: string;
  /** Absent on what burned. */
  readonly requestId?: string;
  /** As the provider named it, otherwise as the caller wrote it. */
  readonly model?: string;
  readonly parts: readonly UnmeasuredPart[];
  /** Why an entry may still change it; absent: nothing can. */
  readonly pending?: LateEntries;
}

/** The part of a charge that one grant paid. */
export interface UnmeasuredPart {
  readonly grant: BookedGrant;
  readonly chargedNano: NanoUsd;
  /** What was given back of it. */
  readonly creditedNano: NanoUsd;
}

/**
 * The charges of a key without a measurement, oldest first, of estimated calls the newest 10,000. Those of pruned grants are
 * omitted, because it is no longer known which accounts paid.
 */
export function unmeasuredCharges(tx: Tx, key: KeyName): readonly UnmeasuredCharge[] {
  const credited = creditedTo(tx, key);
  const charges = [...estimatedCharges(tx, key, credited), ...recoveredCharges(tx, key, credited), ...burnedCharges(tx, key, credited)];
  return charges.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

/** What was given back to a key, by call and grant. */
class Credited {
  readonly #sums = new Map<string, NanoUsd>();

  add({ requestId, grant, nanoUsd }: CreditPart): void {
    const id = idOf(grant, requestId);
    this.#sums.set(id, (this.#sums.get(id) ?? 0) + Number(nanoUsd));
  }

  /** What was given back of a charge, at most the charge: a second charge of the same call and grant has the rest. */
  take(chargedNano: NanoUsd, grant: string, requestId?: string): NanoUsd {
    const id = idOf(grant, requestId);
    const sum = this.#sums.get(id) ?? 0;
    const taken = Math.min(sum, chargedNano);
    this.#sums.set(id, sum - taken);
    return taken;
  }
}

function idOf(grant: string, requestId: string | undefined): string {
  return requestId === undefined ? grant : `${grant} ${requestId}`;
}

function creditedTo(tx: Tx, key: KeyName): Credited {
  const credited = new Credited();
  for (const { body } of tx.streams.credits()) {
    const { credit } = JSON.parse(body.toString()) as OperatorBody;
    if (credit?.key === key) for (const part of credit.parts) credited.add(part);
  }
  return credited;
}

function estimatedCharges(tx: Tx, key: KeyName, credited: Credited): readonly UnmeasuredCharge[] {
  return tx.streams.estimates(key, maxEstimates).flatMap((row) => {
    const call = JSON.parse(row.body.toString()) as CallBody;
    const { requestId, time, model, servedModel } = call;
    const parts = partsOf(tx, call, credited);
    return parts.length === 0 ? [] : [{ kind: 'estimated', time, requestId, ...defined({ model: servedModel ?? model }), parts }];
  });
}

function recoveredCharges(tx: Tx, key: KeyName, credited: Credited): readonly UnmeasuredCharge[] {
  const recoveries = new Recoveries();
  return tx.streams.recoveries(key).flatMap((row) => {
    const body = JSON.parse(row.body.toString()) as EpochRecoveredBody;
    const { time, recoveredEpoch } = body;
    const pending = lateEntriesOf(tx, { stream: row.stream, epoch: recoveredEpoch });
    return recoveries
      .due(body)
      .filter(({ measured }) => measured === undefined)
      .map((charge) => ({ requestId: charge.requestId, parts: partsOf(tx, charge, credited) }))
      .filter(({ parts }) => parts.length > 0)
      .map((charge) => ({ kind: 'recovered' as const, time, ...charge, ...defined({ pending }) }));
  });
}

interface Payments {
  readonly requestId: string;
  readonly paidFrom: readonly PaidFrom[];
}

/** One part a grant, because two reservations of a call may name the same. */
function partsOf(tx: Tx, { requestId, paidFrom }: Payments, credited: Credited): readonly UnmeasuredPart[] {
  return [...Map.groupBy(paidFrom, ({ grant }) => grant)].flatMap(([id, payments]) => {
    const chargedNano = payments.reduce((sum, { costNanoUsd }) => sum + Number(costNanoUsd), 0);
    const grant = chargedNano === 0 ? null : tx.ledger.grant(id);
    return grant === null ? [] : [{ grant, chargedNano, creditedNano: credited.take(chargedNano, id, requestId) }];
  });
}

function burnedCharges(tx: Tx, key: KeyName, credited: Credited): readonly UnmeasuredCharge[] {
  return tx.ledger.closedGrants(key).flatMap((grant) => {
    const creditedNano = credited.take(Number.MAX_SAFE_INTEGER, grant.id);
    return hasBurned(grant) || creditedNano > 0 ? [burnedCharge(tx, grant, creditedNano)] : [];
  });
}

function burnedCharge(tx: Tx, grant: ClosedGrant, creditedNano: NanoUsd): UnmeasuredCharge {
  const part = { grant, chargedNano: grant.burned.nano + creditedNano, creditedNano };
  const pending = hasBurned(grant) ? lateEntriesOf(tx, grant) : undefined;
  return { kind: 'burned', time: new Date(grant.closedAtMs).toISOString(), parts: [part], ...defined({ pending }) };
}

/** Burned tokens do not count: their minute is over. */
function hasBurned({ burned }: BookedGrant): boolean {
  return burned.nano > 0 || burned.requests > 0;
}
