import type { Logger } from 'pino';
import type { PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Need, Reservation, Shortage } from '../../core/budget/types.ts';
import { createWallet } from '../../core/budget/wallet.ts';
import { type Refusal, refuse } from '../../core/errors.ts';
import type { NanoUsd } from '../../core/money.ts';
import type { KeyName, StreamId } from '../../core/names.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { GrantDenial, GrantRequest } from '../../core/protocol/money.ts';
import type { Recorder } from '../evidence/recorder.ts';
import type { Shipper } from '../evidence/shipper.ts';
import { SpoolUnavailable } from '../evidence/spool/spool.ts';
import type { Metrics } from '../metrics.ts';

/** One key's money and record in this proxy: its wallet, its audit stream, and the way to the ledger for more. */
export interface Funds {
  readonly stream: StreamId;
  /** Opens the audit stream, once. Null when it is open; else why nothing can be served. */
  ready(): Promise<Refusal | null>;
  /** Synchronous while the wallet has enough; else one hop to the ledger, at most `grantWaitMs`. */
  reserve(need: Need): Reservation | Promise<Reservation | GrantDenial | Refusal>;
  /** Before dispatch; throws SpoolUnavailable. */
  openCall(requestId: string, reservation: Reservation): void;
  settle(reservation: Reservation, costNano: NanoUsd, tokens: number): readonly PaidFrom[];
  /** Not sent: everything back, also the request. */
  cancel(reservation: Reservation): void;
  /** Chains and spools an entry; throws SpoolUnavailable. */
  record(body: ProxyBody): void;
  /** Left in the tightest window as far as this proxy knows; undefined: uncapped, or not asked yet. */
  remainingNano(): NanoUsd | undefined;
  /** Gives idle grants back. */
  recall(): void;
  /** Housekeeping, every few seconds: heartbeat, expired grants, refill. */
  tick(): void;
  /** The collector refuses this stream: nothing may be sent any more. */
  halt(reason: string): void;
  /** Ends the epoch; what is unspent goes back. Never rejects. */
  close(): Promise<void>;
}

export interface FundsDeps {
  readonly key: KeyName;
  readonly recorder: Recorder;
  readonly shipper: Shipper;
  readonly control: Pick<ControlPort, 'grant'>;
  readonly metrics: Pick<Metrics, 'countGrant'>;
  readonly logger: Logger;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic: () => number;
  readonly newId: () => string;
  readonly grantWaitMs: number;
  /** The stream may be opened from then on: whoever had it before has ended it. */
  readonly free: Promise<void>;
}

type Verdict = Reservation | GrantDenial | Refusal;

interface Waiter {
  readonly need: Need;
  readonly answer: (verdict: Verdict) => void;
}

/** The funds of one key. Concurrency: asks to the ledger go one at a time; calls that wait share what they bring. */
export function createFunds(deps: FundsDeps): Funds {
  const { recorder, shipper, metrics, monotonic } = deps;
  const wallet = createWallet();
  const waiters = new Set<Waiter>();
  let asking: Promise<void> | null = null;
  let unanswered: { readonly asked: Omit<GrantRequest, 'head'>; readonly shortage: Shortage } | null = null;
  let remainderNano: NanoUsd | undefined;
  /** The ledger's last word since calls began to wait, where that was a "no". */
  let denied: GrantDenial | null = null;
  let opening: Promise<Refusal | null> | null = null;

  function ready(): Promise<Refusal | null> {
    const opened =
      opening ??
      deps.free.then(recorder.ready).then(
        () => null,
        (error: unknown) => {
          opening = null;
          return unavailable(error);
        },
      );
    opening = opened;
    return opened;
  }

  function unavailable(error: unknown): Refusal {
    if (error instanceof SpoolUnavailable)
      return refuse('audit_unavailable', 'The audit record cannot be written: nothing is served unrecorded.');
    deps.logger.warn({ key: deps.key, err: error }, 'the operator is out of reach');
    return refuse('grant_unavailable', 'The operator is out of reach and nothing is left of what it granted: try again shortly.', {
      retryAfterSeconds: 2,
    });
  }

  /** Sends one ask and deposits what it brings. The same ask is sent again after a failure: its grant must not be stranded. */
  async function ask(shortage: Shortage): Promise<GrantDenial | null> {
    const { kind: _, ...wanted } = shortage;
    const asked = unanswered?.asked ?? { stream: recorder.stream, epoch: recorder.epoch, askId: deps.newId(), ...wanted };
    unanswered = { asked, shortage };
    const head = recorder.head();
    await shipper.flush(recorder.stream, recorder.epoch, head);
    const sentAtMs = monotonic();
    const reply = await deps.control.grant({ ...asked, head });
    unanswered = null;
    denied = 'denial' in reply ? reply.denial : null;
    if ('denial' in reply) {
      metrics.countGrant(reply.denial.code);
      return reply.denial;
    }
    metrics.countGrant(reply.grant.amountNano <= shortage.boundNano ? 'exact' : 'granted');
    remainderNano = reply.grant.remainderNano;
    wallet.deposit(reply.grant, sentAtMs);
    return null;
  }

  /** A call that could do with less leaves three quarters of what is left to parallel calls, as the ledger has it; and a share to each that waits. */
  function modest(need: Need, ledgerNano: NanoUsd | undefined): Need {
    if (ledgerNano === undefined) return need;
    const left = ledgerNano + wallet.heldNano() - wallet.reservedNano();
    const share = Math.floor(left / Math.max(4, waiters.size));
    return { ...need, boundNano: Math.max(need.atLeastNano, Math.min(need.boundNano, share)) };
  }

  /** Where the wallet lacks something the whole bound is asked for: the ledger knows better what is left. */
  function reserveWhole(need: Need): Reservation | Shortage {
    const suffices = wallet.heldNano() - wallet.reservedNano() >= need.boundNano;
    return wallet.reserve(suffices ? modest(need, remainderNano) : need, monotonic());
  }

  function serveWaiters(how: 'whole' | 'whatever-fits'): Shortage | null {
    for (const waiter of waiters) {
      const { need } = waiter;
      const result =
        how === 'whole'
          ? reserveWhole(need)
          : wallet.reserve(modest(need, denied === null ? remainderNano : 0), monotonic(), 'whatever-fits');
      if ('kind' in result) return result;
      waiters.delete(waiter);
      waiter.answer(result);
    }
    return null;
  }

  /** A denial holds for everyone who waits for as much or more; the others get their own ask. */
  function deny(verdict: GrantDenial | Refusal, asked: Need | null): void {
    for (const waiter of waiters) {
      if (
        asked !== null &&
        (waiter.need.atLeastNano < asked.atLeastNano || waiter.need.tokens < asked.tokens || waiter.need.requests < asked.requests)
      )
        continue;
      waiters.delete(waiter);
      waiter.answer(verdict);
    }
  }

  async function fund(): Promise<void> {
    denied = null;
    const notReady = recorder.epoch === 0 ? await ready() : null;
    if (notReady === null) await fundWaiters();
    else deny(notReady, null);
  }

  async function fundWaiters(): Promise<void> {
    let asked: Waiter | null = null;
    while (waiters.size > 0) {
      const shortage = serveWaiters('whole');
      const [first] = waiters;
      if (shortage === null || first === undefined) return;
      const older = unanswered !== null;
      const denial = await ask(shortage);
      // What is answered to an older ask, of another amount, is not final.
      if (serveWaiters('whatever-fits') === null || older || !waiters.has(first)) continue;
      // A first grant may be less than was asked; a second that does not suffice is final.
      if (denial !== null || asked === first) deny(denial ?? heldElsewhere(deps.key), first.need);
      asked = first;
    }
  }

  function startFunding(): void {
    asking ??= fund()
      .catch((error: unknown) => deny(unavailable(error), null))
      .finally(() => {
        asking = null;
        if (waiters.size > 0) startFunding();
      });
  }

  function wait(need: Need): Promise<Verdict> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        need,
        answer: (verdict) => {
          clearTimeout(timer);
          resolve(verdict);
        },
      };
      const timer = setTimeout(() => {
        waiters.delete(waiter);
        resolve(
          denied?.code === 'budget_reserved'
            ? heldElsewhere(deps.key)
            : refuse('grant_unavailable', 'The operator did not answer in time: try again shortly.', { retryAfterSeconds: 2 }),
        );
      }, deps.grantWaitMs);
      waiters.add(waiter);
      startFunding();
    });
  }

  /** `due`: to be asked for where the wallet itself wants nothing. */
  function refill(due: Shortage | null): void {
    if (asking !== null || recorder.epoch === 0) return;
    const shortage = wallet.refill(monotonic()) ?? due;
    if (shortage === null) return;
    asking = ask(shortage)
      .catch((error: unknown) => void unavailable(error))
      .then(() => {
        asking = null;
        if (waiters.size > 0) startFunding();
      });
  }

  function giveBack(grants: readonly string[]): void {
    if (grants.length === 0) return;
    try {
      recorder.release(grants);
      wallet.drop(grants);
    } catch (error) {
      deps.logger.error({ key: deps.key, err: error }, 'idle grants could not be released; they are held on');
    }
  }

  return {
    stream: recorder.stream,
    ready,
    reserve(need) {
      if (recorder.epoch === 0 || waiters.size > 0) return wait(need);
      const result = reserveWhole(need);
      return 'kind' in result ? wait(need) : result;
    },
    openCall: (requestId, reservation) => recorder.openCall(requestId, reservation),
    settle(reservation, costNano, tokens) {
      const paid = wallet.settle(reservation, costNano, tokens);
      refill(null);
      return paid;
    },
    cancel: (reservation) => wallet.cancel(reservation),
    record: (body) => void recorder.append(body),
    remainingNano: () => (remainderNano === undefined ? undefined : remainderNano + wallet.heldNano() - wallet.reservedNano()),
    recall: () => giveBack(wallet.idle(monotonic())),
    tick() {
      if (recorder.epoch === 0) return;
      giveBack(wallet.expired(monotonic()));
      try {
        recorder.heartbeat();
      } catch (error) {
        deps.logger.error({ key: deps.key, err: error }, 'no heartbeat could be written');
      }
      // What was asked before a connection broke may have been granted: until it is heard of, nobody can spend it or give it back.
      refill(unanswered?.shortage ?? null);
    },
    halt: (reason) => recorder.halt(reason),
    async close() {
      await Promise.all([asking, opening]);
      if (recorder.epoch === 0) return;
      try {
        recorder.close();
      } catch (error) {
        deps.logger.error({ key: deps.key, err: error }, 'the end of a stream could not be written; it is recovered at the next start');
      }
    },
  };
}

function heldElsewhere(key: KeyName): Refusal {
  return refuse('budget_reserved', `What is left of the budget of ${key} is held by calls in flight: try again shortly.`, {
    retryAfterSeconds: 1,
  });
}
