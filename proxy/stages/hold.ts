import type { PaidFrom } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { Funds } from '../money/funds.ts';

/** A reservation that ends with its scope. It settles once. If the call was never sent it is cancelled; if the end of its last attempt is unknown it is charged in full. */
export interface Held extends Disposable {
  readonly amountNano: NanoUsd;
  /** Writes the open record of an attempt; from now on the call may cost its bound. If it throws SpoolUnavailable, do not send it. */
  markSent(requestId: string): void;
  /** Records that the attempts so far cost nothing. A crash or a defect charges nothing until the next `markSent`. */
  noteFree(requestId: string): void;
  /** Settles the cost. `tokens` correct the per-minute rate. */
  settle(costNano: NanoUsd, tokens: number): readonly PaidFrom[];
}

const nothing: Held = { amountNano: 0, markSent: () => {}, noteFree: () => {}, settle: () => [], [Symbol.dispose]: () => {} };

/** Holds a reservation; null: a free call. If the scope ends with a sent call unsettled, `onLost` receives what was paid. */
export function hold(
  funds: Funds,
  reservation: Reservation | null,
  onLost: (paidFrom: readonly PaidFrom[], costNano: NanoUsd) => void,
): Held {
  if (reservation === null) return nothing;
  let state: 'held' | 'sent' | 'free' | 'settled' = 'held';
  return {
    amountNano: reservation.amountNano,
    markSent(requestId) {
      funds.openCall(requestId, reservation);
      state = 'sent';
    },
    noteFree(requestId) {
      funds.noteOutcome(requestId, 0);
      state = 'free';
    },
    settle(costNano, tokens) {
      const wasSent = state === 'sent' || state === 'free';
      state = 'settled';
      if (wasSent) return funds.settle(reservation, costNano, tokens);
      funds.cancel(reservation);
      return [];
    },
    [Symbol.dispose]() {
      if (state === 'held') funds.cancel(reservation);
      if (state === 'held' || state === 'settled') return;
      const costNano = state === 'free' ? 0 : reservation.amountNano;
      onLost(funds.settle(reservation, costNano, 0), costNano);
    },
  };
}
