import type { SessionTimings } from '../../core/protocol/session.ts';
import { type AttestedScope, isRefused, type Refused, sameScope } from './attest.ts';

/** Keeps the attestation of one session in date. */
export interface Renewal {
  /** The proxy showed its newest token: it is looked at now. */
  show(token: string): void;
  /** Looks again where it is time; called often. */
  tick(): void;
}

export interface RenewalDeps {
  /** With the token that opened the session. */
  readonly token: string;
  readonly scope: AttestedScope;
  /** Never rejects. */
  readonly attest: (token: string) => Promise<AttestedScope | Refused>;
  readonly monotonic: () => number;
  readonly timings: Pick<SessionTimings, 'attestMs' | 'unattestedMs'>;
  /** The session is to end: refused, or entitled to something else. May be called after it ended. */
  readonly onEnd: (why: Refused | 'changed') => void;
}

/**
 * Begins with a session. The first look is at the first tick: a Pod that changed between the look that opened the session and the moment
 * from which its changes are told to it would else go unseen.
 */
export function createRenewal(deps: RenewalDeps): Renewal {
  const { scope, attest, monotonic, timings, onEnd } = deps;
  let { token } = deps;
  let attestedAt = monotonic();
  let dueAt = attestedAt;
  let attesting = false;

  async function look(): Promise<void> {
    if (attesting) return;
    attesting = true;
    const outcome = await attest(token);
    attesting = false;
    const now = monotonic();
    if (!isRefused(outcome)) {
      attestedAt = now;
      dueAt = now + timings.attestMs;
      if (!sameScope(outcome, scope)) onEnd('changed');
      return;
    }
    // While the API server cannot be asked the session lives on, for so long, and it is asked less often than proxies would.
    dueAt = now + timings.attestMs / 10;
    if (!outcome.retry || now - attestedAt > timings.unattestedMs) onEnd(outcome);
  }

  return {
    show(latest) {
      token = latest;
      void look();
    },
    tick() {
      if (monotonic() >= dueAt) void look();
    },
  };
}
