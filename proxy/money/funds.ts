import type { Logger } from 'pino';
import type { PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Need, Reservation, Shortage } from '../../core/budget/types.ts';
import { takesLess } from '../../core/budget/waiting-line.ts';
import { Wallet } from '../../core/budget/wallet.ts';
import { type Refusal, refuse } from '../../core/errors.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName, StreamId } from '../../core/names.ts';
import type { Grant, GrantDenial } from '../../core/protocol/money.ts';
import type { RefusedCall } from '../evidence/refusal-groups.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import type { Metrics } from '../metrics.ts';
import { grantWait } from './grant-wait.ts';
import { LedgerLink, type LedgerLinkDeps } from './ledger-link.ts';
import { withinShare } from './share.ts';
import { type ReserveOutcome, type Waiting, type WaitingCall, WaitingCalls } from './waiting-calls.ts';

/** One key's money and evidence in this proxy: its wallet, its audit stream and its link to the ledger. */
export interface Funds {
  readonly stream: StreamId;
  /** Opens the audit stream, once. Null: it is open. Otherwise the refusal of every call. */
  ready(): Promise<Refusal | null>;
  /**
   * Reserves synchronously if the wallet has the whole bound. Otherwise the call waits in its order: for its bound or its fair
   * share, if that is what it prefers; once it has waited half of its time, or if no more can come, for what it needs at least.
   */
  reserve(need: Need, waiting?: Waiting): Reservation | Promise<ReserveOutcome>;
  /** Why the ledger would pay no call at all, as it said moments ago; null: it did not say so, or the wallet still has money. Charges nothing. */
  nothingLeft(): GrantDenial | null;
  /** Calls that wait for money. */
  waiting(): number;
  /** Writes the open record before the call is sent; throws SpoolUnavailable. */
  openCall(requestId: string, reservation: Reservation): void;
  /** Records what the last attempt of an open call cost, for a crash before its entry. Never throws. */
  noteOutcome(requestId: string, costNano: NanoUsd): void;
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[];
  /** Returns the whole reservation, the counted request included: the call was not sent. */
  cancel(reservation: Reservation): void;
  /** Chains and spools an entry; throws SpoolUnavailable. */
  record(body: ProxyBody): void;
  /** Counts a refusal like one that was recorded moments ago; false: `record` it. Never throws. */
  countRefusal(requestId: string, call: RefusedCall): boolean;
  /** What the tightest window has left, as far as this proxy knows; undefined: uncapped, or no grant yet. */
  remainingNano(): NanoUsd | undefined;
  /** Releases idle grants; `whole`: each of the others too, as soon as its calls have ended, and no call uses it any more. */
  recall(whole?: boolean): void;
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
  readonly metrics: Pick<Metrics, 'countGrant' | 'observeWait'>;
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
  /** The calls of the current request. */
  #asked: readonly WaitingCall[] = [];
  /** The call whose last grant served nobody. */
  #missed: WaitingCall | null = null;

  constructor(deps: FundsDeps) {
    this.stream = deps.recorder.stream;
    this.#deps = deps;
    this.#ledger = new LedgerLink(deps, this.#wallet);
    this.#waiting = new WaitingCalls({
      ...{ key: deps.key, monotonic: deps.monotonic, grantWaitMs: deps.grantWaitMs },
      onTimeout: () => this.#refusalOnTimeout(),
      onHalf: () => this.#advance(),
      onLeave: (call) => this.#onLeave(call),
      onAnswer: (waitedMs) => deps.metrics.observeWait(waitedMs),
    });
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

  reserve(need: Need, waiting: Waiting = {}): Reservation | Promise<ReserveOutcome> {
    const nowMs = this.#deps.monotonic();
    this.#wallet.note(need, nowMs);
    if (this.#deps.recorder.epoch === 0 || !this.#waiting.letPass(nowMs)) return this.#wait(need, waiting);
    const result = this.#reserveWhole(need);
    if ('kind' in result) return this.#wait(need, waiting);
    this.#renew();
    return result;
  }

  nothingLeft(): GrantDenial | null {
    const denial = this.#ledger.nothingLeft;
    return denial !== null && (denial.code !== 'budget_exhausted' || this.#freeNano() <= 0) ? denial : null;
  }

  waiting(): number {
    return this.#waiting.size;
  }

  openCall(requestId: string, reservation: Reservation): void {
    this.#deps.recorder.openCall(requestId, reservation);
  }

  noteOutcome(requestId: string, costNano: NanoUsd): void {
    this.#deps.recorder.noteOutcome(requestId, costNano);
  }

  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[] {
    const paid = this.#wallet.settle(reservation, costNano, tokens);
    this.#advance();
    this.#refill(null);
    return paid;
  }

  cancel(reservation: Reservation): void {
    this.#wallet.cancel(reservation);
    this.#advance();
  }

  record(body: ProxyBody): void {
    this.#deps.recorder.append(body);
    // After the entry of the call that ended: a closed grant pays for nothing.
    this.#release(this.#wallet.retired());
  }

  countRefusal(requestId: string, call: RefusedCall): boolean {
    const isCounted = this.#deps.recorder.countRefusal(requestId, call);
    if (isCounted) this.#release(this.#wallet.retired());
    return isCounted;
  }

  remainingNano(): NanoUsd | undefined {
    const { remainderNano } = this.#ledger;
    return remainderNano === undefined ? undefined : remainderNano + this.#freeNano();
  }

  recall(whole = false): void {
    if (whole) this.#wallet.retire(this.#deps.monotonic());
    this.#release(this.#wallet.idle(this.#deps.monotonic()));
  }

  tick(): void {
    const { key, recorder, logger, monotonic } = this.#deps;
    if (recorder.epoch === 0) return;
    this.#release(this.#wallet.expired(monotonic()));
    this.#release(this.#wallet.retired());
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

  /** Reserves what the ledger has left to this call: what it prefers; what it needs at least, if it is firm or no more can come. */
  #reserveWhateverFits(call: WaitingCall): Reservation | Shortage {
    const { need } = call;
    const nowMs = this.#deps.monotonic();
    const acceptsLess = call.acceptsLess || takesLess(call, nowMs);
    // After a denial, calls share only what is here.
    const ledgerNano = this.#ledger.denial === null ? this.#ledger.remainderNano : 0;
    const enoughNano = acceptsLess ? need.atLeastNano : need.preferredNano;
    return this.#wallet.reserve(this.#withinShare(need, ledgerNano), nowMs, enoughNano);
  }

  #withinShare(need: Need, ledgerNano: NanoUsd | undefined): Need {
    return withinShare(need, { ledgerNano, freeNano: this.#freeNano(), waiting: this.#waiting.size });
  }

  #wait(need: Need, waiting: Waiting): Promise<ReserveOutcome> {
    const outcome = this.#waiting.add(need, waiting);
    // The ledger holds a request without this call.
    if (this.#waiting.next()?.denial === null) this.#ledger.withdraw();
    if (this.#waiting.size > 0) this.#startFunding();
    return outcome;
  }

  #onLeave(call: WaitingCall): void {
    if (this.#asked.includes(call)) this.#ledger.withdraw();
    this.#serve();
  }

  /** Serves what the wallet covers now; the ledger learns what the others still lack. */
  #advance(): void {
    this.#serve();
    this.#renew();
  }

  #serve(): void {
    this.#serveWith((call) => (call.denial === null ? this.#reserveWhole(call.need) : this.#reserveWhateverFits(call)));
  }

  #serveWith(reserve: (call: WaitingCall) => Reservation | Shortage): void {
    if (this.#waiting.size > 0) this.#waiting.serve(reserve, (reservation) => this.#wallet.cancel(reservation));
  }

  /** The request that the ledger holds was made for another level of the wallet. */
  #renew(): void {
    if (this.#asked.length > 0) void this.#ledger.renew();
  }

  #startFunding(): void {
    this.#funding ??= this.#endFunding(this.#fundWaiting().catch((error: unknown) => this.#waiting.answerAll(this.#reportFailure(error))));
  }

  async #fundWaiting(): Promise<void> {
    this.#ledger.forgetDenial();
    const notReady = this.#deps.recorder.epoch === 0 ? await this.ready() : null;
    if (notReady !== null) this.#waiting.answerAll(notReady);
    for (;;) {
      this.#serve();
      const call = this.#waiting.next();
      if (call === undefined) return;
      await this.#requestFor(call);
    }
  }

  /** First an exchange that says whether waiting can help, then one that the ledger holds. */
  async #requestFor(call: WaitingCall): Promise<void> {
    const nowMs = this.#deps.monotonic();
    const shortage = this.#wallet.shortageOf(call.need, nowMs);
    const isOlder = this.#ledger.unanswered !== null;
    const passing = call.denial === null ? [] : this.#waiting.passing(call, nowMs);
    this.#asked = [call, ...passing];
    const wait = grantWait(call, passing, { nowMs, shortageOf: (need) => this.#wallet.shortageOf(need, nowMs) });
    const reply = await this.#ledger.request(shortage, wait).finally(() => {
      this.#asked = [];
    });
    // The answer to an older request, for another amount, is not final.
    if (reply === 'withdrawn' || isOlder || !this.#waiting.has(call)) return this.#serveWith((other) => this.#reserveWhateverFits(other));
    if ('denial' in reply) this.#onDenial(call, reply.denial);
    else this.#onGrant(call, reply.grant, shortage);
  }

  #onGrant(call: WaitingCall, { amountNano }: Grant, shortage: Shortage): void {
    const before = this.#waiting.size;
    const { heldNano = 0 } = this.#wallet.shortageOf(call.need, this.#deps.monotonic());
    const hasFallen = heldNano < (shortage.heldNano ?? 0) + amountNano;
    // The ledger knows that no more can come.
    if (amountNano < shortage.preferredNano) call.acceptsLess = true;
    this.#serveWith((other) => this.#reserveWhateverFits(other));
    // A recall or a call that passed may have taken meanwhile what the request counted on.
    if (this.#waiting.size < before || hasFallen) this.#missed = null;
    // A first grant may be smaller than requested. A second one that serves nobody is final.
    else if (this.#missed === call) this.#waiting.answer(call, heldElsewhere(this.#deps.key));
    else this.#missed = call;
  }

  #onDenial(call: WaitingCall, denial: GrantDenial): void {
    const wasHeld = call.denial !== null;
    const isFinal = denial.code !== 'budget_reserved';
    const denied = isFinal ? this.#waiting.wantingAsMuch(call.need) : [];
    for (const other of denied) other.acceptsLess = true;
    const before = this.#waiting.size;
    this.#serveWith((other) => this.#reserveWhateverFits(other));
    // What a served call does not spend comes back: the others ask again.
    if (isFinal && this.#waiting.size < before) return;
    if (!isFinal && !wasHeld) this.#waiting.hear(denial, call.need);
    // The ledger held the request for as long as the call could wait.
    for (const other of wasHeld && !isFinal ? [call] : denied) if (this.#waiting.has(other)) this.#waiting.answer(other, denial);
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
      this.#renew();
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
