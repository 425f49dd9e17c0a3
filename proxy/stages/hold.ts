import type { PaidFrom } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { Funds } from '../money/funds.ts';
import type { Waiting } from '../money/waiting-calls.ts';

/** A reservation that ends with its scope. It settles once. If the call was never sent it is cancelled; if the end of its last attempt is unknown it is charged in full. */
export interface Held extends Disposable {
  /** What is reserved for the attempts since the last `reserveAgain`. */
  readonly amountNano: NanoUsd;
  /** The bounds of the attempts before it. */
  readonly lostNano: NanoUsd;
  /** Writes the open record of an attempt; from now on the call may cost its bound. If it throws SpoolUnavailable, do not send it. */
  markSent(requestId: string): void;
  /** Records that the attempts since the last `reserveAgain` cost nothing. A crash or a defect charges nothing for them until the next `markSent`. */
  noteFree(requestId: string): void;
  /** Reserves the same amount for one more attempt; the attempt before it will be charged at its bound. False: there is not enough. */
  reserveAgain(waiting: Waiting): Promise<boolean>;
  /** Settles the cost of the attempts since the last `reserveAgain`, and the bounds of those before. `tokens` correct the per-minute rate. */
  settle(costNano: NanoUsd, tokens: number): readonly PaidFrom[];
}

type OnLost = (paidFrom: readonly PaidFrom[], costNano: NanoUsd) => void;

const nothing: Held = {
  ...{ amountNano: 0, lostNano: 0 },
  markSent: () => {},
  noteFree: () => {},
  reserveAgain: () => Promise.resolve(true),
  settle: () => [],
  [Symbol.dispose]: () => {},
};

/** Holds a reservation; null: a free call. If the scope ends with a sent call unsettled, `onLost` receives what was paid. */
export function hold(funds: Funds, reservation: Reservation | null, onLost: OnLost): Held {
  return reservation === null ? nothing : new HeldReservation(funds, reservation, onLost);
}

class HeldReservation implements Held {
  readonly #funds: Funds;
  readonly #onLost: OnLost;
  #reservation: Reservation;
  readonly #lost: Reservation[] = [];
  #state: 'held' | 'sent' | 'free' | 'settled' = 'held';

  constructor(funds: Funds, reservation: Reservation, onLost: OnLost) {
    this.#funds = funds;
    this.#reservation = reservation;
    this.#onLost = onLost;
  }

  get amountNano(): NanoUsd {
    return this.#reservation.amountNano;
  }

  get lostNano(): NanoUsd {
    return this.#lost.reduce((sum, { amountNano }) => sum + amountNano, 0);
  }

  markSent(requestId: string): void {
    this.#funds.openCall(requestId, this.#reservation);
    this.#state = 'sent';
  }

  noteFree(requestId: string): void {
    this.#funds.noteOutcome(requestId, 0);
    this.#state = 'free';
  }

  async reserveAgain(waiting: Waiting): Promise<boolean> {
    const { amountNano } = this.#reservation;
    const levels = { atLeastNano: amountNano, preferredNano: amountNano, boundNano: amountNano };
    // The request was counted when it was admitted.
    const outcome = await this.#funds.reserve({ ...levels, requests: 0, tokens: 0 }, waiting);
    if (!('amountNano' in outcome)) return false;
    // Settled with the rest, so that no grant is released between the two.
    this.#lost.push(this.#reservation);
    this.#reservation = outcome;
    this.#state = 'held';
    return true;
  }

  settle(costNano: NanoUsd, tokens: number): readonly PaidFrom[] {
    const wasSent = this.#state !== 'held';
    this.#state = 'settled';
    const paid = this.#lost.flatMap((reservation) => this.#funds.settle(reservation, reservation.amountNano, 0));
    if (wasSent) return [...paid, ...this.#funds.settle(this.#reservation, costNano, tokens)];
    this.#funds.cancel(this.#reservation);
    return paid;
  }

  [Symbol.dispose](): void {
    if (this.#state === 'settled') return;
    const isCharged = this.#state !== 'held' || this.#lost.length > 0;
    const costNano = this.#state === 'sent' ? this.amountNano : 0;
    const paid = this.settle(costNano, 0);
    if (isCharged) this.#onLost(paid, costNano + this.lostNano);
  }
}
