import type { Need, Reservation, Shortage } from '../../core/budget/types.ts';
import type { Refusal } from '../../core/errors.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';

/** The answer to a call that wants a reservation: the reservation, or the reason why there is none. */
export type ReserveOutcome = Reservation | GrantDenial | Refusal;

/** One call in the queue. */
export interface WaitingCall {
  readonly need: Need;
  readonly answer: (outcome: ReserveOutcome) => void;
}

/** The calls that wait for money, in order of arrival, each for a limited time. Without wallet or network. */
export class WaitingCalls {
  readonly #maxWaitMs: number;
  readonly #onTimeout: () => ReserveOutcome;
  readonly #calls = new Set<WaitingCall>();

  /** `onTimeout` makes the answer to a call that has waited for `maxWaitMs`. */
  constructor(maxWaitMs: number, onTimeout: () => ReserveOutcome) {
    this.#maxWaitMs = maxWaitMs;
    this.#onTimeout = onTimeout;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The call that has waited longest. */
  first(): WaitingCall | undefined {
    const [first] = this.#calls;
    return first;
  }

  /** True while this call has no answer. */
  has(call: WaitingCall): boolean {
    return this.#calls.has(call);
  }

  /** Adds a call; resolves with its answer. */
  add(need: Need): Promise<ReserveOutcome> {
    const { promise, resolve } = Promise.withResolvers<ReserveOutcome>();
    const timer = setTimeout(() => {
      this.#calls.delete(call);
      resolve(this.#onTimeout());
    }, this.#maxWaitMs);
    const call: WaitingCall = {
      need,
      answer(outcome) {
        clearTimeout(timer);
        resolve(outcome);
      },
    };
    this.#calls.add(call);
    return promise;
  }

  /** Answers calls in order while `reserve` succeeds. Returns the shortage of the next call; null if no call waits. */
  serve(reserve: (need: Need) => Reservation | Shortage): Shortage | null {
    for (const call of this.#calls) {
      const result = reserve(call.need);
      if ('kind' in result) return result;
      this.#answer(call, result);
    }
    return null;
  }

  /** Gives every call this answer. */
  denyAll(outcome: GrantDenial | Refusal): void {
    for (const call of this.#calls) this.#answer(call, outcome);
  }

  /** Denies every call that wants at least as much as `requested`; the others get a request of their own. */
  deny(outcome: GrantDenial | Refusal, requested: Need): void {
    for (const call of this.#calls) if (!wantsLess(call.need, requested)) this.#answer(call, outcome);
  }

  #answer(call: WaitingCall, outcome: ReserveOutcome): void {
    this.#calls.delete(call);
    call.answer(outcome);
  }
}

function wantsLess(need: Need, than: Need): boolean {
  return need.atLeastNano < than.atLeastNano || need.tokens < than.tokens || need.requests < than.requests;
}
