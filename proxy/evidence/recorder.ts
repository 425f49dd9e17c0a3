import { type Chain, createChain } from '../../core/audit/chain.ts';
import { pooledRandom } from '../../core/audit/random-pool.ts';
import type { CallBody, EpochOpenBody, EpochRecoveredBody, ProxyBody } from '../../core/audit/types.ts';
import type { Reservation } from '../../core/budget/types.ts';
import type { NanoUsd } from '../../core/money.ts';
import { type KeyName, type StreamId, streamId } from '../../core/names.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import type { OpenReply } from '../../core/protocol/evidence.ts';
import { recoveredBody } from './recovered-body.ts';
import { RefusalGroups, type RefusedCall } from './refusal-groups.ts';
import { type Spool, SpoolUnavailable } from './spool/spool.ts';

interface RecorderOptions {
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

/** Writes one key's stream in this process: exactly one epoch. */
export interface Recorder {
  readonly stream: StreamId;
  /** 0 before it is ready. */
  readonly epoch: number;
  /** Seq of the last entry; -1 before it is ready. */
  head(): number;
  /** Opens the epoch, once. Rejects with ControlUnavailable or SpoolUnavailable and may then be called again. */
  ready(): Promise<void>;
  /**
   * Writes the open record before an attempt of a call is sent: from now on it may cost its reservation. A reservation that
   * is opened again is charged once. Throws SpoolUnavailable.
   */
  openCall(requestId: string, reservation: Reservation): void;
  /**
   * Records what the last attempt of an open call cost, for a crash before its entry: 0 once an error that costs nothing was
   * seen. Never throws: if the spool cannot take it, a crash charges the bound.
   */
  noteOutcome(requestId: string, costNano: NanoUsd): void;
  /**
   * Writes an entry before the response ends. Throws SpoolUnavailable. If the body is that of an open call, the recorder
   * keeps it and writes it before anything else: do not append it again.
   */
  append(body: ProxyBody): { readonly seq: number };
  /**
   * Counts a refusal that is not the first of its code, endpoint and token in a minute. False: append its entry. The spool has
   * the count within a second; it becomes an entry at the end of the minute or of the epoch. Call it only for a call of which
   * nothing was sent and that nothing paid for. An older operator gets an entry for each refusal. Never throws.
   */
  countRefusal(requestId: string, call: RefusedCall): boolean;
  /** Releases grants; nothing of them may be spent afterwards. Throws SpoolUnavailable: the grants are then still held. */
  release(grants: readonly string[]): void;
  /** Writes a heartbeat after a minute without an entry. Call this every few seconds. */
  heartbeat(): void;
  /** Refuses further calls, because the operator has quarantined the stream. */
  halt(reason: string): void;
  /**
   * Ends the epoch, which releases everything unspent. Throws SpoolUnavailable and may then be called again. If a call is
   * still open, the epoch stays open for recovery, so that the call is charged.
   */
  close(): void;
}

const heartbeatAfterMs = 60_000;
/** A crash loses at most what was counted within this time. */
const saveRefusalsMs = 1_000;

/** Makes a recorder. It contacts the operator only in `ready`, where it also settles the open calls of the stream's last epoch. */
export function createRecorder(options: RecorderOptions): Recorder {
  return new StreamRecorder(options);
}

class StreamRecorder implements Recorder {
  readonly stream: StreamId;
  readonly #options: RecorderOptions;
  readonly #random: (size: number) => Uint8Array;
  /** Calls with an open record and no entry, each with its last reservation. */
  readonly #openCalls = new Map<string, Reservation>();
  /** Entries of open calls that the spool could not take. */
  readonly #kept: CallBody[] = [];
  readonly #refusals = new RefusalGroups();
  /** From the epoch's opening on, if the operator takes the entries. */
  #countsRefusals = false;
  #savingRefusals: NodeJS.Timeout | null = null;
  #chain: Chain | null = null;
  #epoch = 0;
  #opening: Promise<void> | null = null;
  #ended = false;
  #quarantine: string | null = null;
  #lastWriteMs = 0;

  constructor(options: RecorderOptions) {
    this.stream = streamId(options.key, options.instance);
    this.#options = options;
    this.#random = pooledRandom(options.random);
  }

  get epoch(): number {
    return this.#epoch;
  }

  head(): number {
    return this.#chain?.head() ?? -1;
  }

  ready(): Promise<void> {
    this.#opening ??= this.#openEpoch().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  openCall(requestId: string, reservation: Reservation): void {
    if (this.#quarantine !== null) throw new SpoolUnavailable(`the stream ${this.stream} is quarantined: ${this.#quarantine}`);
    this.#flushKept();
    const { stream } = this;
    const epoch = this.#epoch;
    const isOpen = this.#openCalls.get(requestId) === reservation;
    this.#options.spool.writeOpen(isOpen ? { stream, epoch, requestId } : { stream, epoch, requestId, reservation });
    this.#openCalls.set(requestId, reservation);
  }

  noteOutcome(requestId: string, costNano: NanoUsd): void {
    if (!this.#openCalls.has(requestId)) return;
    try {
      this.#options.spool.writeOutcome({ stream: this.stream, epoch: this.#epoch, requestId, costNano });
    } catch (error) {
      if (!(error instanceof SpoolUnavailable)) throw error;
    }
  }

  append(body: ProxyBody): { readonly seq: number } {
    try {
      return { seq: this.#write(this.#flushKept(), body) };
    } catch (error) {
      // A body that no entry can carry is a defect. Kept, it would stop the key: its call stays open instead, and recovery charges it.
      if (error instanceof SpoolUnavailable && body.type === 'call') this.#keep(body);
      throw error;
    }
  }

  #keep(body: CallBody): void {
    if (this.#openCalls.has(body.requestId)) this.#kept.push(body);
    else this.#refusals.forget(body);
  }

  countRefusal(requestId: string, call: RefusedCall): boolean {
    if (!this.#countsRefusals || this.#ended || this.#openCalls.has(requestId)) return false;
    if (!this.#endMinute() || !this.#refusals.count(call, this.#options.clock())) return false;
    this.#savingRefusals ??= setTimeout(() => this.#saveRefusals(), saveRefusalsMs).unref();
    return true;
  }

  /** Writes the entries of groups whose minute is over, and the counts of the others. What the spool cannot take is tried again. */
  #saveRefusals(): void {
    const { stream } = this;
    const epoch = this.#epoch;
    this.#savingRefusals = null;
    if (this.#ended) return;
    succeeds(() => {
      if (this.#refusals.isOver(this.#options.clock())) this.#sealRefusals();
      for (const kept of this.#refusals.changed()) this.#options.spool.writeRefusals({ stream, epoch, ...kept });
    });
    if (this.#refusals.size > 0) this.#savingRefusals = setTimeout(() => this.#saveRefusals(), saveRefusalsMs).unref();
  }

  /** False: the spool could not take the groups of the minute before, and no others may begin. */
  #endMinute(): boolean {
    return !this.#refusals.isOver(this.#options.clock()) || succeeds(() => this.#sealRefusals());
  }

  /** Writes the entry of each group. Throws SpoolUnavailable. */
  #sealRefusals(): void {
    const { key } = this.#options;
    for (const { id, group } of this.#refusals.all()) {
      const { code, count, endpoint, from, model, to, tokenId } = group;
      const time = this.#time();
      this.#write(this.#flushKept(), { code, count, endpoint, from, key, model, time, to, tokenId, type: 'refusals', v: 1 }, id);
      this.#refusals.drop(id);
    }
  }

  release(grants: readonly string[]): void {
    this.append({ grants, key: this.#options.key, time: this.#time(), type: 'release', v: 1 });
  }

  heartbeat(): void {
    if (this.#chain === null || this.#ended || this.#options.clock() - this.#lastWriteMs < heartbeatAfterMs) return;
    this.append({ key: this.#options.key, time: this.#time(), type: 'heartbeat', v: 1 });
  }

  halt(reason: string): void {
    this.#quarantine = reason;
  }

  close(): void {
    if (this.#chain === null || this.#ended) return;
    this.#flushKept();
    this.#sealRefusals();
    if (this.#savingRefusals !== null) clearTimeout(this.#savingRefusals);
    if (this.#openCalls.size === 0) this.append({ key: this.#options.key, time: this.#time(), type: 'epoch_close', v: 1 });
    this.#ended = true;
    this.#chain.wipe();
  }

  async #openEpoch(): Promise<void> {
    const { key, instance, control } = this.#options;
    const reply = await control.open({ key, instance });
    const chain = createChain({ stream: reply.stream, epoch: reply.epoch, key: Buffer.from(reply.chainKey, 'hex') });
    this.#write(chain, this.#firstBody(reply));
    this.#epoch = reply.epoch;
    this.#countsRefusals = reply.takesRefusals === true;
    this.#chain = chain;
  }

  #firstBody({ nonce }: OpenReply): EpochOpenBody | EpochRecoveredBody {
    const { key, instance, bootId, spool } = this.#options;
    const recovered = spool.recovered.find(({ stream }) => stream === this.stream);
    if (recovered !== undefined) return recoveredBody(recovered, this.#time());
    return { bootId, instance, key, nonce, time: this.#time(), type: 'epoch_open', v: 1 };
  }

  /** Writes the entries that the spool could not take earlier; returns the chain, ready for more. Throws SpoolUnavailable. */
  #flushKept(): Chain {
    if (this.#chain === null || this.#ended) throw new SpoolUnavailable(`the stream ${this.stream} is not open`);
    for (let body = this.#kept[0]; body !== undefined; body = this.#kept[0]) {
      this.#write(this.#chain, body);
      this.#kept.shift();
    }
    return this.#chain;
  }

  /** `ends`: the group of refusals that this entry ends; default: the open call that it ends, if any. */
  #write(chain: Chain, body: ProxyBody, ends?: string): number {
    const { spool, clock } = this.#options;
    const endsCall = ends ?? (body.type === 'call' && this.#openCalls.has(body.requestId) ? body.requestId : '');
    const endsEpoch = body.type === 'epoch_close';
    const { seq } = chain.append(body, this.#random, (entry) => spool.writeEntry({ entry, endsCall, endsEpoch }));
    this.#openCalls.delete(endsCall);
    this.#lastWriteMs = clock();
    return seq;
  }

  #time(): string {
    return new Date(this.#options.clock()).toISOString();
  }
}

/** False: the spool could not take it. */
function succeeds(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (!(error instanceof SpoolUnavailable)) throw error;
    return false;
  }
}
