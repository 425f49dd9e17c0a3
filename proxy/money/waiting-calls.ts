import type { Need, Reservation, Shortage } from '../../core/budget/types.ts';
import { isFirm, type Place, WaitingLine } from '../../core/budget/waiting-line.ts';
import { type Refusal, refuse } from '../../core/errors.ts';
import type { KeyName } from '../../core/names.ts';
import { type GrantDenial, maxOthers } from '../../core/protocol/money.ts';

/** How a call waits for money. */
export interface Waiting {
  /** When it began to wait, in milliseconds of the proxy's monotonic clock; default: now. */
  readonly sinceMs?: number;
  /** Default: `grantWaitMs`. 0: it may use the wallet and one exchange with the ledger. */
  readonly maxWaitMs?: number;
  /** Aborted: nobody waits for the call any more, and its place is free at once. Called only if the call has to wait. */
  readonly signal?: () => AbortSignal;
  /** Called before a reservation that had to wait is handed out. Its refusal answers the call instead. */
  readonly recheck?: () => Refusal | null;
}

/** The answer to a call that wants a reservation: the reservation, or the reason why there is none. */
export type ReserveOutcome = Reservation | GrantDenial | Refusal;

/** One call in the queue. */
export interface WaitingCall extends Place {
  readonly need: Need;
  readonly recheck: (() => Refusal | null) | undefined;
  readonly answer: (outcome: ReserveOutcome) => void;
  /** The ledger's answer that others hold what the call lacks; null: the ledger has not said so yet. */
  denial: GrantDenial | null;
  /** True if the ledger has decided that the call gets no more than what is here. */
  acceptsLess: boolean;
}

interface WaitingCallsDeps {
  readonly key: KeyName;
  readonly monotonic: () => number;
  readonly grantWaitMs: number;
  /** Makes the answer to a call whose time is over and that the ledger never answered. */
  readonly onTimeout: () => ReserveOutcome;
  /** Called when half of a call's time is over. */
  readonly onHalf: () => void;
  /** Called when a call left without money: its time is over, or nobody waits for it. */
  readonly onLeave: (call: WaitingCall) => void;
  /** Called with the time that each call has waited. */
  readonly onAnswer: (waitedMs: number) => void;
}

/** The calls of one key that wait for money, by age, each for a limited time. Without wallet or network. */
export class WaitingCalls {
  readonly #deps: WaitingCallsDeps;
  readonly #line = new WaitingLine<WaitingCall>();

  constructor(deps: WaitingCallsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#line.size;
  }

  /** True while this call has no answer. */
  has(call: WaitingCall): boolean {
    return this.#line.has(call);
  }

  /** The call for which to ask: the oldest one that the ledger has not answered, otherwise the oldest. */
  next(): WaitingCall | undefined {
    let oldest: WaitingCall | undefined;
    for (const call of this.#line) {
      if (call.denial === null) return call;
      oldest ??= call;
    }
    return oldest;
  }

  /** True if a new call may go before those that wait: none of them fits, and none has waited half of its time. */
  letPass(nowMs: number): boolean {
    if (this.#line.size === 0) return true;
    for (const call of this.#line) if (call.denial === null || isFirm(call, nowMs)) return false;
    return true;
  }

  /** Younger calls that lack less than `call` and each other, by age: the ledger may serve them first. None passes a firm one. */
  passing(call: WaitingCall, nowMs: number): readonly WaitingCall[] {
    const passing: WaitingCall[] = [];
    for (const other of this.#line) {
      if (other.denial !== null && [call, ...passing].every(({ need }) => wantsLess(other.need, need))) passing.push(other);
      if (isFirm(other, nowMs) || passing.length === maxOthers) break;
    }
    return passing;
  }

  /** Adds a call; resolves with its answer. */
  add(need: Need, waiting: Waiting): Promise<ReserveOutcome> {
    const { key, monotonic, grantWaitMs, onAnswer } = this.#deps;
    const nowMs = monotonic();
    const { sinceMs = nowMs, maxWaitMs = grantWaitMs, recheck } = waiting;
    const signal = waiting.signal?.();
    const { promise, resolve } = Promise.withResolvers<ReserveOutcome>();
    const timers: NodeJS.Timeout[] = [];
    const onAbort = (): void => this.#leave(call, abandoned());
    const call: WaitingCall = {
      ...{ key, sinceMs, maxWaitMs, need, recheck, acceptsLess: false },
      denial: this.#knownDenial(need),
      answer(outcome) {
        for (const timer of timers) clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        onAnswer(monotonic() - nowMs);
        resolve(outcome);
      },
    };
    this.#line.add(call);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    else if (maxWaitMs > 0) timers.push(...this.#startTimers(call, nowMs));
    else if (call.denial !== null) this.answer(call, call.denial);
    return promise;
  }

  /** The ledger's answer to another call, if it holds for this need too: it lacks no less, and may yet come to have enough. */
  #knownDenial(need: Need): GrantDenial | null {
    for (const { denial, need: other } of this.#line) {
      if (denial === null) continue;
      if (isSame(need, other) || (!wantsLess(need, other) && need.atLeastNano <= (denial.potentialNano ?? 0))) return denial;
    }
    return null;
  }

  #startTimers(call: WaitingCall, nowMs: number): readonly NodeJS.Timeout[] {
    const { sinceMs, maxWaitMs } = call;
    const inMs = (waitMs: number): number => Math.max(0, Math.ceil(sinceMs + waitMs - nowMs));
    return [
      // A timer may fire a millisecond early.
      setTimeout(() => this.#deps.onHalf(), inMs(maxWaitMs / 2) + 1),
      setTimeout(() => this.#leave(call, call.denial ?? this.#deps.onTimeout()), inMs(maxWaitMs)),
    ];
  }

  /** Answers calls by age while `reserve` succeeds. A call that the ledger has not answered, or a firm one, lets nobody pass. */
  serve(reserve: (call: WaitingCall) => Reservation | Shortage, cancel: (reservation: Reservation) => void): void {
    const outcomes = new Map<WaitingCall, ReserveOutcome>();
    let isBlocked = false;
    this.#line.offer(this.#deps.monotonic(), (call, ahead) => {
      if (isBlocked || ahead.length > 0) return 'waits';
      const result = reserve(call);
      if ('kind' in result) {
        isBlocked = call.denial === null;
        return 'waits';
      }
      const refusal = call.recheck?.() ?? null;
      if (refusal !== null) cancel(result);
      outcomes.set(call, refusal ?? result);
      return refusal === null ? 'took' : 'gone';
    });
    for (const [call, outcome] of outcomes) this.answer(call, outcome);
  }

  /** Notes that others hold what this need lacks. Calls that have no time to wait get that as their answer. */
  hear(denial: GrantDenial, need: Need): void {
    for (const call of [...this.#line]) {
      if (!isSame(call.need, need)) continue;
      call.denial = denial;
      if (call.maxWaitMs === 0) this.answer(call, denial);
    }
  }

  /** The calls that want at least as much: what is denied to this need is denied to them. */
  wantingAsMuch(need: Need): readonly WaitingCall[] {
    return [...this.#line].filter((call) => !wantsLess(call.need, need));
  }

  /** Gives every call this answer. */
  answerAll(outcome: GrantDenial | Refusal): void {
    for (const call of [...this.#line]) this.answer(call, outcome);
  }

  answer(call: WaitingCall, outcome: ReserveOutcome): void {
    this.#line.remove(call);
    call.answer(outcome);
  }

  #leave(call: WaitingCall, outcome: ReserveOutcome): void {
    this.answer(call, outcome);
    this.#deps.onLeave(call);
  }
}

/** Nobody reads it. */
function abandoned(): Refusal {
  return refuse('budget_reserved', 'The caller left while its call waited for the budget.', { retryAfterSeconds: 1 });
}

function wantsLess(need: Need, than: Need): boolean {
  return (
    need.atLeastNano < than.atLeastNano ||
    need.preferredNano < than.preferredNano ||
    need.tokens < than.tokens ||
    need.requests < than.requests
  );
}

function isSame(need: Need, other: Need): boolean {
  return !wantsLess(need, other) && !wantsLess(other, need);
}
