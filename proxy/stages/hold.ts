import type { PaidFrom } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { Funds } from '../money/funds.ts';

/** A reservation that ends with its scope: settled once, cancelled where the call was never sent, charged whole where nobody knows how it ended. */
export interface Held extends Disposable {
  readonly amountNano: NanoUsd;
  /** Writes the open record; from here on the call may cost its bound. Throws SpoolUnavailable, then nothing may leave. */
  markSent(requestId: string): void;
  /** Pays. `tokens` correct the per-minute rate. */
  settle(costNano: NanoUsd, tokens: number): readonly PaidFrom[];
}

const nothing: Held = { amountNano: 0, markSent: () => {}, settle: () => [], [Symbol.dispose]: () => {} };

/** Holds a reservation; null (a call that costs nothing) holds nothing. `onLost` gets what was paid where the scope ended without settling a call that was sent. */
export function hold(
  funds: Funds,
  reservation: Reservation | null,
  onLost: (paidFrom: readonly PaidFrom[], costNano: NanoUsd) => void,
): Held {
  if (reservation === null) return nothing;
  let state: 'held' | 'sent' | 'settled' = 'held';
  return {
    amountNano: reservation.amountNano,
    markSent(requestId) {
      funds.openCall(requestId, reservation);
      state = 'sent';
    },
    settle(costNano, tokens) {
      const wasSent = state === 'sent';
      state = 'settled';
      if (wasSent) return funds.settle(reservation, costNano, tokens);
      funds.cancel(reservation);
      return [];
    },
    [Symbol.dispose]() {
      if (state === 'held') funds.cancel(reservation);
      if (state === 'sent') onLost(funds.settle(reservation, reservation.amountNano, 0), reservation.amountNano);
    },
  };
}
