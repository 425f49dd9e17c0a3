import type { Logger } from 'pino';
import type { PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Need, Reservation, Shortage } from '../../core/budget/types.ts';
import { Wallet } from '../../core/budget/wallet.ts';
import { type Refusal, refuse } from '../../core/errors.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName, StreamId } from '../../core/names.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import { LedgerLink, type LedgerLinkDeps } from './ledger-link.ts';
import { type ReserveOutcome, type WaitingCall, WaitingCalls } from './waiting-calls.ts';

/** One key's money and record in this proxy: its wallet, its audit stream, and the way to the ledger for more. */
export interface Funds {
  readonly stream: StreamId;
  /** Opens the audit stream, once. Null when it is open; else why every call is refused. */
  ready(): Promise<Refusal | null>;
  /** Synchronous while the wallet has enough; else one hop to the ledger, at most `grantWaitMs`. */
  reserve(need: Need): Reservation | Promise<ReserveOutcome>;
  /** Before dispatch; throws SpoolUnavailable. */
  openCall(requestId: string, reservation: Reservation): void;
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[];
  /** Not sent: everything back, also the request. */
  cancel(reservation: Reservation): void;
  /** Chains and spools an entry; throws SpoolUnavailable. */
  record(body: ProxyBody): void;
  /** Left in the tightest window as far as this proxy knows; undefined: uncapped, or no grant yet. */
  remainingNano(): NanoUsd | undefined;
  /** Releases idle grants. */
  recall(): void;
  /** Housekeeping, every few seconds: heartbeat, expired grants, refill. */
  tick(): void;
  /** The operator quarantined this stream: nothing may be sent any more. */
  halt(reason: string): void;
  /** Ends the epoch; what is unspent is released. Never rejects. */
  close(): Promise<void>;
}

interface FundsDeps extends LedgerLinkDeps {
  readonly key: KeyName;
  readonly logger: Logger;
  readonly grantWaitMs: number;
  /** The stream may be opened from then on: whoever had it before has ended it. */
  readonly free: Promise<void>;
}

/** The funds of one key. Concurrency: requests to the ledger go one at a time; calls that wait share what they bring. */
export function createFunds(deps: FundsDeps): Funds {
  return new WalletKeeper(deps);
}

class WalletKeeper implements Funds {
  readonly stream: StreamId;
  readonly #deps: FundsDeps;
  readonly #wallet = new Wallet();
  readonly #ledger: LedgerLink;
  readonly #waiting: WaitingCalls;
  /** The work with the ledger that is under way, one at a time: for the calls that wait, or a refill. */
  #funding: Promise<void> | null = null;
  #opening: Promise<Refusal | null> | null = null;

  constructor(deps: FundsDeps) {
    this.stream = deps.recorder.stream;
    this.#deps = deps;
    this.#ledger = new LedgerLink(deps, this.#wallet);
    this.#waiting = new WaitingCalls(deps.grantWaitMs, () => this.#refusalOnTimeout());
  }

  ready(): Promise<Refusal | null> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      return this.#reportFailure(error);
    });
    return this.#opening;
  }

  async #open(): Promise<null> {
    await this.#deps.free;
    await this.#deps.recorder.ready();
    return null;
  }

  reserve(need: Need): Reservation | Promise<ReserveOutcome> {
    if (this.#deps.recorder.epoch === 0 || this.#waiting.size > 0) return this.#wait(need);
    const result = this.#reserveWhole(need);
    return 'kind' in result ? this.#wait(need) : result;
  }

  openCall(requestId: string, reservation: Reservation): void {
    this.#deps.recorder.openCall(requestId, reservation);
  }

  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[] {
    const paid = this.#wallet.settle(reservation, costNano, tokens);
    this.#refill(null);
    return paid;
  }

  cancel(reservation: Reservation): void {
    this.#wallet.cancel(reservation);
  }

  record(body: ProxyBody): void {
    this.#deps.recorder.append(body);
  }

  remainingNano(): NanoUsd | undefined {
    const { remainderNano } = this.#ledger;
    return remainderNano === undefined ? undefined : remainderNano + this.#freeNano();
  }

  recall(): void {
    this.#release(this.#wallet.idle(this.#deps.monotonic()));
  }

  tick(): void {
    const { key, recorder, logger, monotonic } = this.#deps;
    if (recorder.epoch === 0) return;
    this.#release(this.#wallet.expired(monotonic()));
    try {
      recorder.heartbeat();
    } catch (error) {
      logger.error({ key, err: error }, 'no heartbeat could be written');
    }
    // A request that was sent before a connection broke may have been granted: until its answer is here, nobody can spend that or release it.
    this.#refill(this.#ledger.unanswered);
  }

  halt(reason: string): void {
    this.#deps.recorder.halt(reason);
  }

  async close(): Promise<void> {
    const { key, recorder, logger } = this.#deps;
    await Promise.all([this.#funding, this.#opening]);
    if (recorder.epoch === 0) return;
    try {
      recorder.close();
    } catch (error) {
      logger.error({ key, err: error }, 'the end of a stream could not be written; it is recovered at the next start');
    }
  }

  #freeNano(): NanoUsd {
    return this.#wallet.heldNano() - this.#wallet.reservedNano();
  }

  /** Where the wallet lacks something the whole bound is requested: the ledger knows better what is left. */
  #reserveWhole(need: Need): Reservation | Shortage {
    const suffices = this.#freeNano() >= need.boundNano;
    const wanted = suffices ? this.#withinShare(need, this.#ledger.remainderNano) : need;
    return this.#wallet.reserve(wanted, this.#deps.monotonic());
  }

  /** For when the ledger has answered. A denial means that it has nothing for calls to share beyond what is here. */
  #reserveWhateverFits(need: Need): Reservation | Shortage {
    const ledgerNano = this.#ledger.denial === null ? this.#ledger.remainderNano : 0;
    return this.#wallet.reserve(this.#withinShare(need, ledgerNano), this.#deps.monotonic(), 'whatever-fits');
  }

  /** A call that could do with less leaves three quarters of what is left to parallel calls, as the ledger has it; and a share to each that waits. */
  #withinShare(need: Need, ledgerNano: NanoUsd | undefined): Need {
    if (ledgerNano === undefined) return need;
    const share = Math.floor((ledgerNano + this.#freeNano()) / Math.max(4, this.#waiting.size));
    return { ...need, boundNano: Math.max(need.atLeastNano, Math.min(need.boundNano, share)) };
  }

  #wait(need: Need): Promise<ReserveOutcome> {
    const outcome = this.#waiting.add(need);
    this.#startFunding();
    return outcome;
  }

  #startFunding(): void {
    this.#funding ??= this.#endFunding(this.#fundWaiting().catch((error: unknown) => this.#waiting.denyAll(this.#reportFailure(error))));
  }

  async #fundWaiting(): Promise<void> {
    this.#ledger.forgetDenial();
    const notReady = this.#deps.recorder.epoch === 0 ? await this.ready() : null;
    if (notReady === null) await this.#serveWaiting();
    else this.#waiting.denyAll(notReady);
  }

  async #serveWaiting(): Promise<void> {
    const reserveWhole = (need: Need): Reservation | Shortage => this.#reserveWhole(need);
    const reserveWhateverFits = (need: Need): Reservation | Shortage => this.#reserveWhateverFits(need);
    let requestedFor: WaitingCall | null = null;
    while (this.#waiting.size > 0) {
      const shortage = this.#waiting.serve(reserveWhole);
      const first = this.#waiting.first();
      if (shortage === null || first === undefined) return;
      const isOlder = this.#ledger.unanswered !== null;
      const denial = await this.#ledger.request(shortage);
      // The answer to an older request, of another amount, is not final.
      if (this.#waiting.serve(reserveWhateverFits) === null || isOlder || !this.#waiting.has(first)) continue;
      // A first grant may be less than was requested; a second that does not suffice is final.
      if (denial !== null || requestedFor === first) this.#waiting.deny(denial ?? heldElsewhere(this.#deps.key), first.need);
      requestedFor = first;
    }
  }

  /** `due`: what to request where the wallet itself wants nothing. */
  #refill(due: Shortage | null): void {
    if (this.#funding !== null || this.#deps.recorder.epoch === 0) return;
    const shortage = this.#wallet.refill(this.#deps.monotonic()) ?? due;
    if (shortage === null) return;
    this.#funding = this.#endFunding(
      this.#ledger.request(shortage).then(
        () => {},
        (error: unknown) => void this.#reportFailure(error),
      ),
    );
  }

  /** Calls that came to wait in the meantime are next. */
  async #endFunding(work: Promise<void>): Promise<void> {
    await work;
    this.#funding = null;
    if (this.#waiting.size > 0) this.#startFunding();
  }

  #release(grants: readonly string[]): void {
    if (grants.length === 0) return;
    try {
      this.#deps.recorder.release(grants);
      this.#wallet.drop(grants);
    } catch (error) {
      this.#deps.logger.error({ key: this.#deps.key, err: error }, 'idle grants could not be released; they are still held');
    }
  }

  /** Logs a failure to reach the operator; returns the refusal of the calls that wait. */
  #reportFailure(error: unknown): Refusal {
    if (error instanceof SpoolUnavailable)
      return refuse('audit_unavailable', 'The audit record cannot be written: nothing is served unrecorded.');
    this.#deps.logger.warn({ key: this.#deps.key, err: error }, 'the operator is out of reach');
    return refuse('grant_unavailable', 'The operator is out of reach and nothing is left of what it granted: try again shortly.', {
      retryAfterSeconds: 2,
    });
  }

  #refusalOnTimeout(): Refusal {
    if (this.#ledger.denial?.code === 'budget_reserved') return heldElsewhere(this.#deps.key);
    return refuse('grant_unavailable', 'The operator did not answer in time: try again shortly.', { retryAfterSeconds: 2 });
  }
}

function heldElsewhere(key: KeyName): Refusal {
  return refuse('budget_reserved', `What is left of the budget of ${key} is held by calls in flight: try again shortly.`, {
    retryAfterSeconds: 1,
  });
}
