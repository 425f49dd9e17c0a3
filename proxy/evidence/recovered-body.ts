import type { EpochRecoveredBody, PaidFrom, RecoveredCharge } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { RecoveredStream, SpooledAttempt, SpooledCall } from './spool/epochs.ts';

/**
 * Charges the calls that were open when the process ended: each reservation at its bound, or at its cost if that was
 * recorded. Counts the refusals that had no entry. Only this entry settles across epochs.
 */
export function recoveredBody({ key, epoch, lastSeq, whole, ...left }: RecoveredStream, time: string): EpochRecoveredBody {
  const charges = left.openCalls.flatMap(chargesOf);
  const refusals = left.refusals.length === 0 ? undefined : left.refusals;
  return { charges, key, lastSeq, recoveredEpoch: epoch, refusals, time, type: 'epoch_recovered', v: 1, whole };
}

function chargesOf({ requestId, attempts }: SpooledCall): readonly RecoveredCharge[] {
  const open = attempts.filter(({ costNano }) => costNano === null);
  const known = attempts.filter(({ costNano }) => costNano !== null);
  return [
    ...(open.length > 0 ? [{ paidFrom: open.flatMap(paidFromOf), requestId }] : []),
    ...(known.length > 0 ? [{ measured: true as const, paidFrom: known.flatMap(paidFromOf), requestId }] : []),
  ];
}

/** What the grants pay, as the wallet settles: the first pays first, and the last also pays what exceeds the reservation. */
function paidFromOf({ reservation, costNano }: SpooledAttempt): readonly PaidFrom[] {
  const { counted, amountNano } = reservation;
  return payersOf(reservation, costNano ?? amountNano)
    .filter(({ grant, nano }) => nano > 0 || grant === counted?.grant)
    .map(({ grant, nano }) => ({ costNanoUsd: String(nano), grant, ...(grant === counted?.grant ? countOf(counted, costNano) : {}) }));
}

function payersOf({ parts, counted }: Reservation, costNano: NanoUsd): Reservation['parts'] {
  const uncounted = counted !== undefined && !parts.some(({ grant }) => grant === counted.grant);
  const holders = uncounted ? [{ grant: counted.grant, nano: 0 }, ...parts] : parts;
  let due = costNano;
  return holders.map(({ grant, nano }, index) => {
    const pays = index === holders.length - 1 ? due : Math.min(nano, due);
    due -= pays;
    return { grant, nano: pays };
  });
}

/** The request counts, because it was sent. Its tokens are those of the estimate, unless it cost nothing. */
function countOf({ requests, tokens }: Required<Reservation>['counted'], costNano: NanoUsd | null): Pick<PaidFrom, 'requests' | 'tokens'> {
  return defined({ requests: requests === 1 ? requests : undefined, tokens: tokens > 0 && costNano !== 0 ? tokens : undefined });
}
