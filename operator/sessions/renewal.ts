import type { SessionTimings } from '../../core/protocol/session.ts';
import { type AttestedScope, isRefused, type Refused, sameScope } from './scope.ts';

/** What a renewal needs. */
interface RenewalDeps {
  /** The token that opened the session; a secret. */
  readonly token: string;
  readonly scope: AttestedScope;
  /** Never rejects. */
  readonly attest: (token: string) => Promise<AttestedScope | Refused>;
  readonly monotonic: () => number;
  readonly timings: Pick<SessionTimings, 'attestMs' | 'unattestedMs'>;
  /** Called when the session must end: it is refused, or its entitlement has changed. May be called after its end. */
  readonly onEnd: (why: Refused | 'changed') => void;
}

/**
 * Keeps the attestation of one session up to date. It attests again at the first tick. Otherwise it would miss a change of the
 * Pod between the first attestation and the time from which the session receives changes.
 */
export class Renewal {
  readonly #deps: RenewalDeps;
  #token: string;
  #attestedAt: number;
  #dueAt: number;
  #isAttesting = false;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
    this.#token = deps.token;
    this.#attestedAt = deps.monotonic();
    this.#dueAt = this.#attestedAt;
  }

  /** Attests the newest token of the proxy now. */
  show(token: string): void {
    this.#token = token;
    void this.#attest();
  }

  /** Attests again if it is due. Call it often. */
  tick(): void {
    if (this.#deps.monotonic() >= this.#dueAt) void this.#attest();
  }

  async #attest(): Promise<void> {
    const { attest, monotonic, timings, scope, onEnd } = this.#deps;
    if (this.#isAttesting) return;
    this.#isAttesting = true;
    const outcome = await attest(this.#token);
    this.#isAttesting = false;
    const now = monotonic();
    if (!isRefused(outcome)) {
      this.#attestedAt = now;
      this.#dueAt = now + timings.attestMs;
      if (!sameScope(outcome, scope)) onEnd('changed');
      return;
    }
    // While the API server is unreachable, the session continues for a limited time; it retries less often than proxies would.
    this.#dueAt = now + timings.attestMs / 10;
    if (!outcome.retry || now - this.#attestedAt > timings.unattestedMs) onEnd(outcome);
  }
}
