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

/** One key's money and evidence in this proxy: its wallet, its audit stream and its link to the ledger. */
export interface Funds {
  readonly stream: StreamId;
  /** Opens the audit stream, once. Null: it is open. Otherwise the refusal of every call. */
  ready(): Promise<Refusal | null>;
  /** Reserves synchronously if the wallet has enough; otherwise requests a grant and waits at most `grantWaitMs`. */
  reserve(need: Need): Reservation | Promise<ReserveOutcome>;
  /** Writes the open record before the call is sent; throws SpoolUnavailable. */
  openCall(requestId: string, reservation: Reservation): void;
  /** Records what the last attempt of an open call cost, for a crash before its entry. Never throws. */
  noteOutcome(requestId: string, costNano: NanoUsd): void;
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[];
  /** Returns the whole reservation, the counted request included: the call was not sent. */
  cancel(reservation: Reservation): void;
  /** Chains and spools an entry; throws SpoolUnavailable. */
  record(body: ProxyBody): void;
  /** What the tightest window has left, as far as this proxy knows; undefined: uncapped, or no grant yet. */
  remainingNano(): NanoUsd | undefined;
  /** Releases idle grants. */
  recall(): void;
  /** Housekeeping, every few seconds: heartbeat, expired grants, refill. */
  tick(): void;
  /** Refuses all further calls, because the operator quarantined this stream. */
  halt(reason: string): void;
  /** Ends the epoch and releases what is unspent. Never rejects. */
  close(): Promise<void>;
}

interface FundsDeps extends LedgerLinkDeps {
  readonly key: KeyName;
  readonly logger: Logger;
  readonly grantWaitMs: number;
  /** Resolves when the stream may be opened: its previous holder has closed it. */
  readonly free: Promise<void>;
}

/** Makes the funds of one key. Concurrency: one request to the ledger at a time; waiting calls share its grant. */
export function createFunds(deps: FundsDeps): Funds {
  return new WalletKeeper(deps);
}

class WalletKeeper implements Funds {
  readonly stream: StreamId;
  readonly #deps: FundsDeps;
  readonly #wallet = new Wallet();
  readonly #ledger: LedgerLink;
  readonly #waiting: WaitingCalls;
  /** The current work with the ledger: for waiting calls, or a refill. */
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

  noteOutcome(requestId: string, costNano: NanoUsd): void {
    this.#deps.recorder.noteOutcome(requestId, costNano);
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
      logger.error({ key, err: error }, 'the proxy cannot write a heartbeat');
    }
    // The ledger may have granted a request before the connection broke. Nobody can spend or release that grant before its reply.
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
      logger.error({ key, err: error }, 'the proxy cannot write the end of a stream; the next start recovers the stream');
    }
  }

  #freeNano(): NanoUsd {
    return this.#wallet.heldNano() - this.#wallet.reservedNano();
  }

  /** Reserves the whole bound, or reports the shortage of it: the ledger knows what is left. */
  #reserveWhole(need: Need): Reservation | Shortage {
    const suffices = this.#freeNano() >= need.boundNano;
    const wanted = suffices ? this.#withinShare(need, this.#ledger.remainderNano) : need;
    return this.#wallet.reserve(wanted, this.#deps.monotonic());
  }

  /** Reserves after the ledger has answered. After a denial, calls share only what is here. */
  #reserveWhateverFits(need: Need): Reservation | Shortage {
    const ledgerNano = this.#ledger.denial === null ? this.#ledger.remainderNano : 0;
    return this.#wallet.reserve(this.#withinShare(need, ledgerNano), this.#deps.monotonic(), 'whatever-fits');
  }

  /** Limits a call that can work with less: as in the ledger, it leaves three quarters to parallel calls, and a share to each waiting call. */
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
      // The answer to an older request, for another amount, is not final.
      if (this.#waiting.serve(reserveWhateverFits) === null || isOlder || !this.#waiting.has(first)) continue;
      // A first grant may be smaller than requested. A second grant that is not enough is final.
      if (denial !== null || requestedFor === first) this.#waiting.deny(denial ?? heldElsewhere(this.#deps.key), first.need);
      requestedFor = first;
    }
  }

  /** Requests what the wallet wants, otherwise `due`. */
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

  /** Continues with calls that began to wait in the meantime. */
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
      this.#deps.logger.error({ key: this.#deps.key, err: error }, 'the proxy cannot release idle grants; it still holds them');
    }
  }

  /** Logs a failure to reach the operator; returns the refusal of the waiting calls. */
  #reportFailure(error: unknown): Refusal {
    if (error instanceof SpoolUnavailable)
      return refuse('audit_unavailable', 'KeyForge cannot write the audit record of this call, so it refuses the call: try again shortly.');
    this.#deps.logger.warn({ key: this.#deps.key, err: error }, 'the operator is unreachable');
    return refuse(
      'grant_unavailable',
      'The KeyForge operator is unreachable, and this proxy has spent what it granted: try again shortly.',
      {
        retryAfterSeconds: 2,
      },
    );
  }

  #refusalOnTimeout(): Refusal {
    if (this.#ledger.denial?.code === 'budget_reserved') return heldElsewhere(this.#deps.key);
    return refuse('grant_unavailable', 'The KeyForge operator did not answer in time: try again shortly.', { retryAfterSeconds: 2 });
  }
}

function heldElsewhere(key: KeyName): Refusal {
  return refuse('budget_reserved', `Calls in flight hold the rest of the budget of ${key}: try again shortly.`, {
    retryAfterSeconds: 1,
  });
}
