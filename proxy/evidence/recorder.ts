import { type Chain, createChain } from '../../core/audit/chain.ts';
import { pooledRandom } from '../../core/audit/random-pool.ts';
import type { CallBody, EpochOpenBody, EpochRecoveredBody, PaidFrom, ProxyBody } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import { type KeyName, type StreamId, streamId } from '../../core/names.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { OpenReply } from '../../core/protocol/evidence.ts';
import type { RecoveredStream } from './spool/epochs.ts';
import { type Spool, SpoolUnavailable } from './spool/spool.ts';

export interface RecorderOptions {
  readonly key: KeyName;
  /** Names this proxy; the same after a restart with the same spool. */
  readonly instance: string;
  readonly bootId: string;
  readonly control: Pick<ControlPort, 'open'>;
  readonly spool: Spool;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly random: (size: number) => Uint8Array;
}

/** The writing end of one key's stream in this process. One epoch in its life. */
export interface Recorder {
  readonly stream: StreamId;
  /** 0 before it is ready. */
  readonly epoch: number;
  /** Seq of the last entry; -1 before it is ready. */
  head(): number;
  /** Opens the epoch, once. Rejects with ControlUnavailable or SpoolUnavailable and may then be called again. */
  ready(): Promise<void>;
  /** Before a call is dispatched; again for every further reservation of the same call. Throws SpoolUnavailable. */
  openCall(requestId: string, reservation: Reservation): void;
  /**
   * Writes an entry before the response ends. Throws SpoolUnavailable; where the body is of a call that had been opened,
   * it is kept and written before anything else, so it must not be appended again.
   */
  append(body: ProxyBody): { readonly seq: number };
  /** Gives grants back; nothing of them may be spent after. Throws SpoolUnavailable: they are still held. */
  release(grants: readonly string[]): void;
  /** Writes a heartbeat where a minute has passed without an entry; to be called every few seconds. */
  heartbeat(): void;
  /** No further call may be opened: the operator has quarantined the stream. */
  halt(reason: string): void;
  /**
   * Ends the epoch, which gives back all that is unspent. Throws SpoolUnavailable and may then be called again. Where a call
   * is still open the epoch is left to be recovered, so that the call is charged.
   */
  close(): void;
}

const heartbeatAfterMs = 60_000;

/** Makes a recorder; it asks nothing of the operator before `ready`, and then settles what the spool knows to be open of its stream. */
export function createRecorder(options: RecorderOptions): Recorder {
  const { key, instance, bootId, control, spool, clock } = options;
  const random = pooledRandom(options.random);
  const stream = streamId(key, instance);
  /** Calls with an open record and no entry. */
  const openCalls = new Set<string>();
  /** Entries of such calls that the spool could not take. */
  const kept: CallBody[] = [];
  let chain: Chain | null = null;
  let epoch = 0;
  let opening: Promise<void> | null = null;
  let ended = false;
  let halted: string | null = null;
  let lastWriteMs = 0;

  function time(): string {
    return new Date(clock()).toISOString();
  }

  function firstBody(reply: OpenReply): EpochOpenBody | EpochRecoveredBody {
    const recovered = spool.recovered.find((each) => each.stream === stream);
    if (recovered !== undefined) return recoveredBody(recovered, time());
    return { bootId, instance, key, nonce: reply.nonce, time: time(), type: 'epoch_open', v: 1 };
  }

  async function openEpoch(): Promise<void> {
    const reply = await control.open({ key, instance });
    const opened = createChain({ stream: reply.stream, epoch: reply.epoch, key: Buffer.from(reply.chainKey, 'hex') });
    write(opened, firstBody(reply));
    epoch = reply.epoch;
    chain = opened;
  }

  function write(to: Chain, body: ProxyBody): number {
    const endsCall = body.type === 'call' && openCalls.has(body.requestId) ? body.requestId : '';
    const { seq } = to.append(body, random, (entry) => spool.writeEntry({ entry, endsCall, endsEpoch: body.type === 'epoch_close' }));
    openCalls.delete(endsCall);
    lastWriteMs = clock();
    return seq;
  }

  /** The chain, once what the spool could not take earlier is in it. */
  function writable(): Chain {
    if (chain === null || ended) throw new SpoolUnavailable(`the stream ${stream} is not open`);
    for (let body = kept[0]; body !== undefined; body = kept[0]) {
      write(chain, body);
      kept.shift();
    }
    return chain;
  }

  function append(body: ProxyBody): { readonly seq: number } {
    try {
      return { seq: write(writable(), body) };
    } catch (error) {
      if (body.type === 'call' && openCalls.has(body.requestId)) kept.push(body);
      throw error;
    }
  }

  return {
    stream,
    get epoch() {
      return epoch;
    },
    head: () => chain?.head() ?? -1,
    ready() {
      opening ??= openEpoch().catch((error: unknown) => {
        opening = null;
        throw error;
      });
      return opening;
    },
    openCall(requestId, reservation) {
      if (halted !== null) throw new SpoolUnavailable(`the stream ${stream} is quarantined: ${halted}`);
      writable();
      spool.writeOpen({ stream, epoch, requestId, reservation });
      openCalls.add(requestId);
    },
    append,
    release(grants) {
      append({ grants, key, time: time(), type: 'release', v: 1 });
    },
    heartbeat() {
      if (chain === null || ended || clock() - lastWriteMs < heartbeatAfterMs) return;
      append({ key, time: time(), type: 'heartbeat', v: 1 });
    },
    halt(reason) {
      halted = reason;
    },
    close() {
      if (chain === null || ended) return;
      writable();
      if (openCalls.size === 0) append({ key, time: time(), type: 'epoch_close', v: 1 });
      ended = true;
      chain.wipe();
    },
  };
}

/** What the calls that were open when the process ended cost at most: the one settlement across epochs. */
function recoveredBody({ key, epoch, lastSeq, whole, openCalls }: RecoveredStream, time: string): EpochRecoveredBody {
  const charges = openCalls.map(({ requestId, reservations }) => ({ paidFrom: reservations.flatMap(payBound), requestId }));
  return { charges, key, lastSeq, recoveredEpoch: epoch, time, type: 'epoch_recovered', v: 1, whole };
}

function payBound({ parts, counted }: Reservation): PaidFrom[] {
  const paid: PaidFrom[] = parts.map(({ grant, nano }) => ({ costNanoUsd: String(nano), grant }));
  if (counted === undefined) return paid;
  const count = {
    ...(counted.requests === 1 ? { requests: 1 as const } : {}),
    ...(counted.tokens > 0 ? { tokens: counted.tokens } : {}),
  };
  const index = paid.findIndex(({ grant }) => grant === counted.grant);
  if (index === -1) return [...paid, { costNanoUsd: '0', grant: counted.grant, ...count }];
  return paid.map((each, i) => (i === index ? { ...each, ...count } : each));
}
