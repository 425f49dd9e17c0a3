import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { defined } from '../../core/json.ts';
import type { StreamMeter } from '../dialect/types.ts';
import type { Connection, ConnectionHandler, Sending } from './connection.ts';
import type { UpstreamSettings } from './origins.ts';
import type { BodyEnd, FlowingBody, Meters, WholeBody } from './types.ts';

/** The result of one attempt, before the client sees any of it. */
export type AttemptResult =
  | {
      readonly kind: 'failed';
      /** False: no byte of it was sent. */
      readonly sent: boolean;
      /** True if it was lost on a connection that an earlier request had used, before one byte of an answer. */
      readonly lostOnReused: boolean;
      readonly end: Exclude<BodyEnd, 'complete'>;
      /** The error code of Node or undici, e.g. `ECONNREFUSED`. */
      readonly code: string;
      /** Set if the answer broke off while it was collected. */
      readonly status?: number;
    }
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      readonly body: WholeBody | FlowingBody;
      readonly meter: StreamMeter | null;
    };

/** How an answer begins that is a stream whatever its header says: a list (Gemini), or the fields and comments of events. */
const beginsAsStream = /^\ufeff?\s*(?:\[|(?:data|event|id|retry)?:)/;
const openingBrace = 0x7b;
/** The highest byte of white space. */
const space = 0x20;
/** Bytes in which every beginning shows. */
const beginningBytes = 16;
/** Maximum of bytes kept until `pipe` is called. */
const maxUnclaimedBytes = 64 * 1024;

interface AttemptTerms {
  readonly firstByteMs: number;
  readonly onEnd?: () => void;
}

function endSilent(attempt: Attempt): void {
  attempt.abort('timeout');
}

/** One request to a provider and its answer: undici's handler on one side, a result and a body on the other. Owned by one call. */
export class Attempt implements ConnectionHandler, FlowingBody {
  readonly kind = 'flowing';
  readonly result: Promise<AttemptResult>;

  readonly #settings: UpstreamSettings;
  readonly #meters: Meters;
  readonly #onEnd: (() => void) | undefined;
  readonly #firstByteTimer: NodeJS.Timeout;
  #settle: { resolve(result: AttemptResult): void; reject(error: unknown): void };
  #phase: 'waiting' | 'collecting' | 'preamble' | 'flowing' | 'ended' = 'waiting';
  #connection: Connection | null = null;
  #sending: Sending | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #abortedAs: 'timeout' | 'stopped' | null = null;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  #meter: StreamMeter | null = null;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** White space that began the answer, in whole chunks: providers send it while they think. */
  #blankChunks = 0;
  #preambleTimer: NodeJS.Timeout | undefined;
  #write: ((chunk: Buffer) => boolean) | null = null;
  #end: BodyEnd | null = null;
  #piped: { resolve(end: BodyEnd): void; reject(error: unknown): void } | null = null;

  /** It ends as `timeout` if no answer begins within `firstByteMs` from now. `onEnd` is called once, after the last byte or when none will follow. */
  constructor(settings: UpstreamSettings, meters: Meters, { firstByteMs, onEnd }: AttemptTerms) {
    this.#settings = settings;
    this.#meters = meters;
    this.#onEnd = onEnd;
    this.#firstByteTimer = setTimeout(endSilent, firstByteMs, this);
    const { promise, resolve, reject } = Promise.withResolvers<AttemptResult>();
    this.result = promise;
    this.#settle = { resolve, reject };
  }

  /** Ends the attempt now, in any phase. */
  abort(as: 'timeout' | 'stopped'): void {
    if (this.#phase === 'ended') return;
    this.#abortedAs ??= as;
    // Not on a socket yet: `onRequestStart` will abort it.
    if (this.#controller === null) this.#fail('UND_ERR_ABORTED');
    else this.#controller.abort(new Error(as));
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#phase === 'ended') {
      controller.abort(new Error('stopped'));
      return;
    }
    this.#controller = controller;
    this.#sending = this.#connection?.begin() ?? null;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#phase !== 'waiting') return;
    clearTimeout(this.#firstByteTimer);
    this.#status = status;
    this.#headers = headers;
    // Media types ignore case: RFC 9110, 8.3.1.
    const streams = status < 300 && headers['content-type']?.toLowerCase().startsWith('text/event-stream') === true;
    try {
      // Encoded although identity was requested: such an answer is held, and decoded whole.
      this.#meter = streams && !this.#isEncoded() ? this.#meters.stream() : null;
      this.#phase = this.#meter === null ? 'collecting' : 'preamble';
    } catch (error) {
      this.#throw(error);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    try {
      this.#take(chunk);
    } catch (error) {
      this.#throw(error);
    }
  }

  onResponseEnd(): void {
    try {
      if (this.#phase === 'collecting') {
        const bytes = this.#held.length === 1 && this.#held[0] !== undefined ? this.#held[0] : Buffer.concat(this.#held, this.#heldBytes);
        this.#answer({ kind: 'whole', bytes });
        this.#finish('complete');
        return;
      }
      for (const rest of this.#meter?.flush() ?? []) this.#pass(rest);
      if (this.#phase === 'preamble') this.#flow();
      this.#finish('complete');
    } catch (error) {
      this.#throw(error);
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#fail('code' in error && typeof error.code === 'string' ? error.code : error.name);
  }

  pipe(write: (chunk: Buffer) => boolean): Promise<BodyEnd> {
    this.#write = write;
    const { promise, resolve, reject } = Promise.withResolvers<BodyEnd>();
    this.#piped = { resolve, reject };
    this.resume();
    return promise;
  }

  /** Goes on with what was held, at the client's pace: it may be megabytes. */
  resume(): void {
    let goOn = true;
    try {
      while (goOn && this.#held.length > 0) goOn = this.#write?.(this.#held.shift() as Buffer) ?? false;
    } catch (error) {
      this.#throw(error);
      return;
    }
    if (this.#end !== null) this.#resolvePiped(this.#end);
    else if (goOn) this.#controller?.resume();
    else this.#controller?.pause();
  }

  #take(chunk: Buffer): void {
    if (this.#phase === 'collecting') this.#collect(chunk);
    else this.#read(chunk);
  }

  #collect(chunk: Buffer): void {
    const isNew = this.#heldBytes < beginningBytes || this.#held.length === this.#blankChunks;
    this.#hold(chunk);
    if (isNew && this.#status < 300) this.#readBeginning();
    if (this.#phase === 'collecting' && this.#heldBytes > this.#settings.wholeBytes) {
      this.#readHeld(this.#meters.large());
      this.#flow();
    }
  }

  /** Gives a chunk to the meter and forwards what it returns. */
  #read(chunk: Buffer): void {
    if (this.#meter === null) this.#pass(chunk);
    else for (const passed of this.#meter.push(chunk)) this.#pass(passed);
    if (this.#phase !== 'preamble') return;
    if (this.#meter?.phase !== 'preamble' || this.#heldBytes > this.#settings.preambleBytes) this.#flow();
    else this.#preambleTimer ??= setTimeout(() => this.#flow(), this.#settings.preambleMs);
  }

  #readBeginning(): void {
    // Most answers are an object from their first byte.
    if (this.#blankChunks === 0 && this.#held[0]?.[0] === openingBrace) return;
    const said = this.#held.slice(this.#blankChunks);
    const [first] = said;
    const bytes = said.length === 1 && first !== undefined ? first : Buffer.concat(said);
    let from = 0;
    while (from < bytes.length && (bytes[from] as number) <= space) from += 1;
    if (from === bytes.length) this.#blankChunks = this.#held.length;
    else if (beginsAsStream.test(bytes.toString('utf8', from, from + beginningBytes))) this.#readHeld(this.#meters.stream());
  }

  /** From now on this meter reads the answer, from its first byte; null, or an encoded answer: nothing reads it. */
  #readHeld(meter: StreamMeter | null): void {
    if (meter === null || this.#isEncoded()) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    this.#meter = meter;
    this.#phase = 'preamble';
    for (const chunk of held) this.#read(chunk);
  }

  #isEncoded(): boolean {
    return (this.#headers['content-encoding'] ?? 'identity') !== 'identity';
  }

  #pass(chunk: Buffer): void {
    if (this.#write === null || this.#held.length > 0) {
      this.#hold(chunk);
      if (this.#phase === 'flowing' && this.#heldBytes > maxUnclaimedBytes) this.#controller?.pause();
    } else if (!this.#write(chunk)) {
      this.#controller?.pause();
    }
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  /** From now on the answer is forwarded as it arrives. */
  #flow(): void {
    clearTimeout(this.#preambleTimer);
    this.#phase = 'flowing';
    this.#answer(this);
  }

  #answer(body: WholeBody | FlowingBody): void {
    this.#settle.resolve({ kind: 'answered', status: this.#status, headers: this.#headers, body, meter: this.#meter });
  }

  #fail(code: string): void {
    if (this.#phase === 'ended') return;
    const end = this.#abortedAs ?? (code === 'UND_ERR_BODY_TIMEOUT' ? 'timeout' : 'cut');
    // Has no effect if the attempt already has a result.
    this.#settle.resolve({
      kind: 'failed',
      sent: this.#controller !== null && this.#sending?.wasRefused !== true,
      lostOnReused: end === 'cut' && this.#sending?.isUnansweredOnReused === true,
      end,
      code,
      ...defined({ status: this.#status === 0 ? undefined : this.#status }),
    });
    this.#finish(end);
  }

  #finish(end: BodyEnd): void {
    if (this.#phase === 'ended') return;
    clearTimeout(this.#firstByteTimer);
    clearTimeout(this.#preambleTimer);
    this.#phase = 'ended';
    this.#end = end;
    // Whoever stopped it wants nothing more of it.
    if (end === 'stopped') this.#held = [];
    this.#resolvePiped(end);
    this.#onEnd?.();
  }

  /** Once all that was held has been passed on. */
  #resolvePiped(end: BodyEnd): void {
    if (this.#held.length === 0) this.#piped?.resolve(end);
  }

  /** Rethrows an error of a meter or sink, which is our own defect, and takes no more of this answer. */
  #throw(error: unknown): void {
    this.#settle.reject(error);
    this.#piped?.reject(error);
    this.abort('stopped');
  }
}
