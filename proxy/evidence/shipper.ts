import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { StreamId } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import type { ShipReply } from '../../core/protocol/evidence.ts';
import type { Spool, SpoolBatch } from './spool/spool.ts';

export interface ShipperOptions {
  readonly control: Pick<ControlPort, 'ship'>;
  readonly spool: Spool;
  readonly logger: Logger;
  /** The operator will never take an entry of this stream: nothing may be admitted on it any more. */
  readonly onQuarantine: (stream: StreamId, epoch: number, reason: string) => void;
  /** Entries written within this time travel together, unless they are many or someone waits; default 100. */
  readonly delayMs?: number;
  /** Wait after the first failed attempt, doubled by each further one up to 40 times itself; default 250. */
  readonly backOffMs?: number;
}

/** Brings entries to the operator, of all streams in the order of the spool: at least once, one batch at a time. */
export interface Shipper {
  start(): void;
  /**
   * Ships now. Resolves when the operator holds the epoch up to `head`; rejects with ControlUnavailable when the attempt
   * failed, or the stream is quarantined. While the operator is away entries wait in the spool, and nothing is lost.
   */
  flush(stream: StreamId, epoch: number, head: number): Promise<void>;
  /** Entries written and not acknowledged. */
  behind(): { readonly entries: number };
  /** Ships everything, tried again for so long (default: once) while the operator is away; then stops. Never rejects. */
  close(withinMs?: number): Promise<void>;
}

interface Waiter {
  readonly stream: StreamId;
  readonly epoch: number;
  readonly head: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const most = { entries: 512, bytes: 1_048_576 };
/** So many do not wait for others. */
const manyEntries = 256;

/** Makes a shipper; it becomes the spool's listener when it starts. */
export function createShipper(options: ShipperOptions): Shipper {
  const { control, spool, logger, onQuarantine, delayMs = 100, backOffMs = 250 } = options;
  const waiters = new Set<Waiter>();
  const quarantined = new Map<string, string>();
  let position = spool.start();
  let timer: NodeJS.Timeout | null = null;
  let shipping: Promise<void> | null = null;
  let failures = 0;
  let started = false;
  let written = 0;

  function schedule(afterMs: number): void {
    if (started && shipping === null) timer ??= setTimeout(ship, afterMs).unref();
  }

  /** Ships until nothing is owed or an attempt fails; never rejects. */
  function ship(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    written = 0;
    shipping ??= shipAll().then(succeed, fail).then(next);
    return shipping;
  }

  function next(): void {
    shipping = null;
    if (failures > 0) schedule(Math.min(backOffMs * 2 ** (failures - 1), backOffMs * 40));
    else if (waiters.size > 0) void ship();
    else if (spool.read(position, { entries: 1, bytes: 1 }).entries.length > 0) schedule(delayMs);
  }

  async function shipAll(): Promise<void> {
    for (;;) {
      answerWaiters();
      const batch = spool.read(position, most);
      if (batch.entries.length > 0) await shipBatch(batch);
      position = batch.next;
      if (batch.entries.length === 0) return;
    }
  }

  async function shipBatch({ entries }: SpoolBatch): Promise<void> {
    const reply = await control.ship({ entries: encodeEntries(entries) });
    for (const { stream, epoch, seq } of reply.acks) spool.acknowledge(stream, epoch, seq);
    quarantine(reply);
    const refused = entries.find(({ stream, epoch, seq }) => spool.isOwed(stream, epoch, seq) && !quarantined.has(id(stream, epoch)));
    if (refused === undefined) return;
    position = spool.start(); // it lacks something before: everything that it has not acknowledged is sent again
    throw new ControlUnavailable(`the operator did not take ${refused.stream} epoch ${refused.epoch} seq ${refused.seq}`);
  }

  function quarantine({ rejected }: ShipReply): void {
    for (const { stream, epoch, seq, reason } of rejected) {
      if (quarantined.has(id(stream, epoch))) continue;
      quarantined.set(id(stream, epoch), reason);
      logger.error({ stream, epoch, seq, reason }, 'the operator quarantined a stream: its key is served no further');
      onQuarantine(stream, epoch, reason);
    }
  }

  function answerWaiters(): void {
    for (const waiter of waiters) {
      const reason = quarantined.get(id(waiter.stream, waiter.epoch));
      if (reason !== undefined) waiter.reject(new ControlUnavailable(`${waiter.stream} is quarantined: ${reason}`));
      else if (!spool.isOwed(waiter.stream, waiter.epoch, waiter.head)) waiter.resolve();
      else continue;
      waiters.delete(waiter);
    }
  }

  function succeed(): void {
    if (failures > 0) logger.info('entries are shipped again');
    failures = 0;
  }

  function fail(error: unknown): void {
    failures += 1;
    if (failures === 1) logger.warn({ err: error }, 'entries could not be shipped: they wait in the spool');
    const unavailable = error instanceof ControlUnavailable ? error : new ControlUnavailable(String(error), { cause: error });
    answerWaiters();
    for (const waiter of waiters) waiter.reject(unavailable);
    waiters.clear();
  }

  return {
    start() {
      started = true;
      spool.onEntry(() => {
        if (failures > 0) return;
        written += 1;
        if (written >= manyEntries) void ship();
        else schedule(delayMs);
      });
      schedule(0);
    },
    flush(stream, epoch, head) {
      if (!spool.isOwed(stream, epoch, head)) return Promise.resolve();
      return new Promise((resolve, reject) => {
        waiters.add({ stream, epoch, head, resolve, reject });
        void ship();
      });
    },
    behind: () => ({ entries: spool.owed() }),
    async close(withinMs = 0) {
      await shipping;
      await ship();
      for (let leftMs = withinMs; failures > 0 && leftMs > 0; leftMs -= backOffMs) {
        await sleep(backOffMs);
        await ship();
      }
      started = false;
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}

function id(stream: StreamId, epoch: number): string {
  return `${stream} ${epoch}`;
}
