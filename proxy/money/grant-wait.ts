import type { Need, Shortage } from '../../core/budget/types.ts';
import type { CallAge, GrantWait, WaitingNeed } from '../../core/protocol/money.ts';
import type { WaitingCall } from './waiting-calls.ts';

/** The wallet at the time of a request. */
interface WalletNow {
  readonly nowMs: number;
  readonly shortageOf: (need: Need) => Shortage;
}

/** How the request for a call waits. The ledger holds it only if it has said before that others hold what the call lacks. */
export function grantWait(call: WaitingCall, passing: readonly WaitingCall[], { nowMs, shortageOf }: WalletNow): GrantWait {
  const leftMs = call.sinceMs + call.maxWaitMs - nowMs;
  return {
    ...ageOf(call, nowMs),
    holdMs: call.denial === null ? 0 : Math.max(1, leftMs),
    others: passing.map((other) => ({ ...figuresOf(shortageOf(other.need)), ...ageOf(other, nowMs) })),
  };
}

function ageOf({ sinceMs, maxWaitMs }: WaitingCall, nowMs: number): CallAge {
  return { waitedMs: Math.max(0, nowMs - sinceMs), maxWaitMs };
}

function figuresOf({ atLeastNano, preferredNano, boundNano, atLeastRequests, tokens }: Shortage): Omit<WaitingNeed, keyof CallAge> {
  return { atLeastNano, preferredNano, boundNano, atLeastRequests, tokens };
}
