import type { PaidFrom } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { Funds } from '../money/funds.ts';

/** A reservation that ends with its scope: settled once, cancelled where the call never left, charged whole where its fate was lost. */
export interface Held extends Disposable {
  readonly amountNano: NanoUsd;
  /** Writes the open record; from here on the call may cost its bound. Throws SpoolUnavailable, then nothing may leave. */
  depart(requestId: string): void;
  /** Pays. `tokens` correct the per-minute rate. */
  settle(costNano: NanoUsd, tokens: number): readonly PaidFrom[];
}

const nothing: Held = { amountNano: 0, depart: () => {}, settle: () => [], [Symbol.dispose]: () => {} };

/** Holds a reservation; null (a call that costs nothing) holds nothing. `lost` gets what was paid where the scope ended without settling a call that had left. */
export function hold(
  funds: Funds,
  reservation: Reservation | null,
  lost: (paidFrom: readonly PaidFrom[], costNano: NanoUsd) => void,
): Held {
  if (reservation === null) return nothing;
  let state: 'here' | 'departed' | 'settled' = 'here';
  return {
    amountNano: reservation.amountNano,
    depart(requestId) {
      funds.openCall(requestId, reservation);
      state = 'departed';
    },
    settle(costNano, tokens) {
      const departed = state === 'departed';
      state = 'settled';
      if (departed) return funds.settle(reservation, costNano, tokens);
      funds.cancel(reservation);
      return [];
    },
    [Symbol.dispose]() {
      if (state === 'here') funds.cancel(reservation);
      if (state === 'departed') lost(funds.settle(reservation, reservation.amountNano, 0), reservation.amountNano);
    },
  };
}
