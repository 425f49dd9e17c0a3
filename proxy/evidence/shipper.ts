import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type EpochId, epochId, type StreamId } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import type { ShipReply } from '../../core/protocol/evidence.ts';
import type { Spool, SpoolBatch } from './spool/spool.ts';

interface ShipperOptions {
  readonly control: Pick<ControlPort, 'ship'>;
  readonly spool: Spool;
  readonly logger: Logger;
  /** Called when the operator rejects an entry for ever: no further call may be admitted on this stream. */
  readonly onQuarantine: (stream: StreamId, epoch: number, reason: string) => void;
  /** Entries of this time are shipped together, unless there are many or a caller waits; default 100. */
  readonly delayMs?: number;
  /** Wait after the first failed attempt; each further failure doubles it, up to 40 times; default 250. */
  readonly backOffMs?: number;
}

/** Ships entries of all streams to the operator in the order of the spool: at least once, one batch at a time. */
export interface Shipper {
  start(): void;
  /**
   * Ships now. Resolves when the operator holds the epoch up to `head`. Rejects with ControlUnavailable if the attempt
   * fails or the stream is quarantined. While the operator is unreachable, entries wait in the spool and nothing is lost.
   */
  flush(stream: StreamId, epoch: number, head: number): Promise<void>;
  /** Entries that are written but not acknowledged. */
  behind(): { readonly entries: number };
  /** Ships everything, then stops. It retries for this time (default: not at all) if the operator is unreachable. Never rejects. */
  close(withinMs?: number): Promise<void>;
}

interface Waiter {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly head: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const maxBatch = { entries: 512, bytes: 1_048_576 };
/** This many are shipped at once. */
const manyEntries = 256;
const maxBackOffFactor = 40;

/** Makes a shipper. When it starts, it becomes the spool's listener. */
export function createShipper(options: ShipperOptions): Shipper {
  return new SpoolShipper(options);
}

class SpoolShipper implements Shipper {
  readonly #options: ShipperOptions;
  readonly #spool: Spool;
  readonly #delayMs: number;
  readonly #backOffMs: number;
  readonly #waiters = new Set<Waiter>();
  readonly #quarantined = new Map<EpochId, string>();
  #position: number;
  #timer: NodeJS.Timeout | null = null;
  #shipping: Promise<void> | null = null;
  #failures = 0;
  #started = false;
  /** Entries since the last shipment. */
  #written = 0;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#spool = options.spool;
    this.#delayMs = options.delayMs ?? 100;
    this.#backOffMs = options.backOffMs ?? 250;
    this.#position = options.spool.start();
  }

  start(): void {
    this.#started = true;
    this.#spool.onEntry(() => this.#onEntry());
    this.#schedule(0);
  }

  flush(stream: StreamId, epoch: number, head: number): Promise<void> {
    if (!this.#spool.isOwed(stream, epoch, head)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.add({ stream, epoch, head, resolve, reject });
      void this.#ship();
    });
  }

  behind(): { readonly entries: number } {
    return { entries: this.#spool.owed() };
  }

  async close(withinMs = 0): Promise<void> {
    await this.#shipping;
    await this.#ship();
    for (let leftMs = withinMs; this.#failures > 0 && leftMs > 0; leftMs -= this.#backOffMs) {
      await sleep(this.#backOffMs);
      await this.#ship();
    }
    this.#started = false;
    this.#clearTimer();
  }

  #onEntry(): void {
    if (this.#failures > 0) return;
    this.#written += 1;
    if (this.#written >= manyEntries) void this.#ship();
    else this.#schedule(this.#delayMs);
  }

  #schedule(afterMs: number): void {
    if (this.#started && this.#shipping === null) this.#timer ??= setTimeout(() => this.#ship(), afterMs).unref();
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Ships until everything is acknowledged or an attempt fails; never rejects. */
  #ship(): Promise<void> {
    this.#clearTimer();
    this.#written = 0;
    this.#shipping ??= this.#shipAll()
      .then(
        () => this.#succeed(),
        (error: unknown) => this.#fail(error),
      )
      .then(() => this.#scheduleNext());
    return this.#shipping;
  }

  #scheduleNext(): void {
    this.#shipping = null;
    if (this.#failures > 0) this.#schedule(this.#backOffMs * Math.min(2 ** (this.#failures - 1), maxBackOffFactor));
    else if (this.#waiters.size > 0) void this.#ship();
    else if (this.#spool.read(this.#position, { entries: 1, bytes: 1 }).entries.length > 0) this.#schedule(this.#delayMs);
  }

  async #shipAll(): Promise<void> {
    for (;;) {
      this.#answerWaiters();
      const batch = this.#spool.read(this.#position, maxBatch);
      if (batch.entries.length > 0) await this.#shipBatch(batch);
      this.#position = batch.next;
      if (batch.entries.length === 0) return;
    }
  }

  async #shipBatch({ entries }: SpoolBatch): Promise<void> {
    const reply = await this.#options.control.ship({ entries: encodeEntries(entries) });
    for (const { stream, epoch, seq } of reply.acks) this.#spool.acknowledge(stream, epoch, seq);
    this.#quarantine(reply);
    const missed = entries.find(
      (entry) => this.#spool.isOwed(entry.stream, entry.epoch, entry.seq) && !this.#quarantined.has(epochId(entry)),
    );
    if (missed === undefined) return;
    this.#position = this.#spool.start(); // the operator lacks an earlier entry: send everything unacknowledged again
    throw new ControlUnavailable(`the operator did not acknowledge ${missed.stream} epoch ${missed.epoch} seq ${missed.seq}`);
  }

  #quarantine({ rejected }: ShipReply): void {
    for (const { stream, epoch, seq, reason } of rejected) {
      const id = epochId({ stream, epoch });
      if (this.#quarantined.has(id)) continue;
      this.#quarantined.set(id, reason);
      this.#options.logger.error({ stream, epoch, seq, reason }, 'the operator quarantined a stream; the proxy refuses calls with its key');
      this.#options.onQuarantine(stream, epoch, reason);
    }
  }

  #answerWaiters(): void {
    for (const waiter of this.#waiters) {
      const reason = this.#quarantined.get(epochId(waiter));
      if (reason !== undefined) waiter.reject(new ControlUnavailable(`${waiter.stream} is quarantined: ${reason}`));
      else if (!this.#spool.isOwed(waiter.stream, waiter.epoch, waiter.head)) waiter.resolve();
      else continue;
      this.#waiters.delete(waiter);
    }
  }

  #succeed(): void {
    if (this.#failures > 0) this.#options.logger.info('the operator takes audit entries again');
    this.#failures = 0;
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    if (this.#failures === 1) this.#options.logger.warn({ err: error }, 'audit entries could not be shipped; they wait in the spool');
    const unavailable = error instanceof ControlUnavailable ? error : new ControlUnavailable(String(error), { cause: error });
    this.#answerWaiters();
    for (const waiter of this.#waiters) waiter.reject(unavailable);
    this.#waiters.clear();
  }
}
