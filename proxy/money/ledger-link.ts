import type { Shortage } from '../../core/budget/types.ts';
import type { Wallet } from '../../core/budget/wallet.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { GrantDenial, GrantRequest } from '../../core/protocol/money.ts';
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

/** Sends the grant requests of one key's stream to the ledger. One request is in flight at a time: its owner waits for each answer. */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  readonly #wallet: Pick<Wallet, 'deposit'>;
  #unanswered: { readonly request: Omit<GrantRequest, 'head'>; readonly shortage: Shortage } | null = null;
  #denial: GrantDenial | null = null;
  #remainderNano: NanoUsd | undefined;

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

  forgetDenial(): void {
    this.#denial = null;
  }

  /**
   * Sends one request and deposits the grant, or returns the denial. After a failure, the next call sends the same request
   * again: the ledger may have granted it, and that grant must not be lost.
   */
  async request(shortage: Shortage): Promise<GrantDenial | null> {
    const { recorder, shipper, control, metrics, monotonic } = this.#deps;
    const request = this.#unanswered?.request ?? this.#newRequest(shortage);
    this.#unanswered = { request, shortage };
    const head = recorder.head();
    await shipper.flush(recorder.stream, recorder.epoch, head);
    const sentAtMs = monotonic();
    const reply = await control.grant({ ...request, head });
    this.#unanswered = null;
    this.#denial = 'denial' in reply ? reply.denial : null;
    if ('denial' in reply) {
      metrics.countGrant(reply.denial.code);
      return reply.denial;
    }
    metrics.countGrant(reply.grant.amountNano <= shortage.boundNano ? 'exact' : 'granted');
    this.#remainderNano = reply.grant.remainderNano;
    this.#wallet.deposit(reply.grant, sentAtMs);
    return null;
  }

  #newRequest({ kind: _, ...wanted }: Shortage): Omit<GrantRequest, 'head'> {
    const { recorder, newId } = this.#deps;
    return { stream: recorder.stream, epoch: recorder.epoch, askId: newId(), ...wanted };
  }
}
