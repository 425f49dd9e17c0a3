import type { Shortage } from '../../core/budget/types.ts';
import type { Wallet } from '../../core/budget/wallet.ts';
import { defined } from '../../core/json.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { GrantDenial, GrantReply, GrantRequest, GrantWait } from '../../core/protocol/money.ts';
import type { Recorder } from '../evidence/recorder.ts';
import type { Shipper } from '../evidence/shipper.ts';
import type { Metrics } from '../metrics.ts';

export interface LedgerLinkDeps {
  readonly recorder: Recorder;
  readonly shipper: Shipper;
  readonly control: Pick<ControlPort, 'grant'>;
  readonly metrics: Pick<Metrics, 'countGrant'>;
  /** Milliseconds of a monotonic clock. */
  readonly monotonic: () => number;
  readonly newId: () => string;
}

/**
 * So long a denial is taken for the ledger's current answer: a raised cap or a credit is noticed after it. Short, because a call
 * that is refused meanwhile would perhaps be paid.
 */
const denialHoldsMs = 5_000;

/** Sends the grant requests of one key's stream to the ledger. One request is in flight at a time: its owner waits for each answer. */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  readonly #wallet: Pick<Wallet, 'deposit'>;
  #unanswered: { readonly request: Omit<GrantRequest, 'head'>; readonly shortage: Shortage } | null = null;
  /** Ends the request that the ledger holds; null: it holds none. */
  #held: AbortController | null = null;
  #denial: GrantDenial | null = null;
  #remainderNano: NanoUsd | undefined;
  /** The last answer, if it was that nothing is left, and until when it is believed. */
  #nothingLeft: { readonly denial: GrantDenial; readonly untilMs: number } | null = null;

  constructor(deps: LedgerLinkDeps, wallet: Pick<Wallet, 'deposit'>) {
    this.#deps = deps;
    this.#wallet = wallet;
  }

  /** The shortage of the request without an answer; null if there is none. */
  get unanswered(): Shortage | null {
    return this.#unanswered?.shortage ?? null;
  }

  /** The ledger's last answer since `forgetDenial`, if that was a denial. */
  get denial(): GrantDenial | null {
    return this.#denial;
  }

  /** What the tightest window had left after the last grant; undefined: uncapped, or no grant yet. */
  get remainderNano(): NanoUsd | undefined {
    return this.#remainderNano;
  }

  /** The denial of a moment ago that no call of any size could pass; null: there is none, or it is too old. */
  get nothingLeft(): GrantDenial | null {
    const known = this.#nothingLeft;
    return known !== null && this.#deps.monotonic() < known.untilMs ? known.denial : null;
  }

  forgetDenial(): void {
    this.#denial = null;
  }

  /**
   * Sends one request and deposits the grant, or returns the denial; `withdrawn`: `withdraw` ended it. After a failure, the next
   * call sends the same request again, to be answered at once: the ledger may have granted it, and that grant must not be lost.
   */
  async request(shortage: Shortage, wait?: GrantWait): Promise<GrantReply | 'withdrawn'> {
    const { recorder, control, monotonic } = this.#deps;
    const again = this.#unanswered?.request;
    const request = again ?? this.#newRequest(shortage);
    this.#unanswered = { request, shortage };
    const held = new AbortController();
    if (again === undefined && wait !== undefined && wait.holdMs > 0) this.#held = held;
    try {
      const head = recorder.head();
      await this.#ship(head);
      if (held.signal.aborted) {
        this.#unanswered = null;
        return 'withdrawn';
      }
      const sentAtMs = monotonic();
      const reply = await control.grant({ ...request, head, ...defined({ wait: again === undefined ? wait : undefined }) }, held.signal);
      this.#unanswered = null;
      if (held.signal.aborted && 'denial' in reply && reply.denial.code === 'budget_reserved') return 'withdrawn';
      this.#take(reply, shortage, sentAtMs);
      return reply;
    } finally {
      this.#held = null;
    }
  }

  /** Ends a request that the ledger holds: its answer comes at once. */
  withdraw(): void {
    this.#held?.abort();
  }

  /**
   * Withdraws a request that the ledger holds, because the wallet has changed, after everything is shipped: what comes free by
   * that meets the request still in its place.
   */
  async renew(): Promise<void> {
    const held = this.#held;
    if (held === null) return;
    // The caller of a settlement writes its entry in this turn.
    await Promise.resolve();
    await this.#ship(this.#deps.recorder.head()).catch(() => {});
    held.abort();
  }

  #take(reply: GrantReply, shortage: Shortage, sentAtMs: number): void {
    const { metrics, monotonic } = this.#deps;
    this.#denial = 'denial' in reply ? reply.denial : null;
    this.#nothingLeft = null;
    if (this.#denial !== null && deniesAll(this.#denial)) {
      const holdsMs = Math.min(denialHoldsMs, (this.#denial.retryAfterSeconds ?? Number.POSITIVE_INFINITY) * 1000);
      this.#nothingLeft = { denial: this.#denial, untilMs: monotonic() + holdsMs };
    }
    if ('denial' in reply) {
      metrics.countGrant(reply.denial.code);
      return;
    }
    metrics.countGrant(reply.grant.amountNano <= shortage.boundNano ? 'exact' : 'granted');
    this.#remainderNano = reply.grant.remainderNano;
    this.#wallet.deposit(reply.grant, sentAtMs);
  }

  #ship(head: number): Promise<void> {
    const { recorder, shipper } = this.#deps;
    return shipper.flush(recorder.stream, recorder.epoch, head);
  }

  #newRequest({ kind: _, ...wanted }: Shortage): Omit<GrantRequest, 'head'> {
    const { recorder, newId } = this.#deps;
    return { stream: recorder.stream, epoch: recorder.epoch, askId: newId(), ...wanted };
  }
}

/** True if a smaller call would be denied too. */
function deniesAll({ code, availableNano, potentialNano }: GrantDenial): boolean {
  if (code === 'budget_exhausted') return availableNano <= 0 && (potentialNano ?? 0) <= 0;
  return code === 'quota_exhausted' || code === 'rate_limited';
}
