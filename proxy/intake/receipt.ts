import type { IncomingMessage } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import type { Refusal } from '../../core/errors.ts';
import { type BodyHold, smallBytes } from './byte-budget.ts';
import { damaged, overloaded, tooLarge } from './refusals.ts';

/** What a body without a length takes at a time. */
const stepBytes = 256 * 1024;
/** A large body that arrives more slowly gives its room to others. */
const leastBytesPerSecond = 64 * 1024;
const defaultPaceMs = 10_000;

interface ReceiptOptions {
  readonly limitBytes: number;
  /** The body's length, of `Content-Length`; null: nobody knows. */
  readonly announced: number | null;
  readonly hold: BodyHold | undefined;
  readonly paceMs: number | undefined;
  /** In the order in which the bytes pass them. */
  readonly decoders: readonly Transform[];
}

/** The receipt of one body. */
export class Receipt {
  readonly #request: IncomingMessage;
  readonly #options: ReceiptOptions;
  readonly #done = Promise.withResolvers<Buffer | Refusal | null>();
  readonly #chunks: Buffer[] = [];
  /** A large body of known length is received in place, so that it is never in memory twice. */
  #whole: Buffer | null = null;
  #length = 0;
  /** What the budget has given to a body without a length. */
  #granted = smallBytes - 1;
  #pacing: NodeJS.Timeout | undefined;
  #lengthBefore = 0;

  constructor(request: IncomingMessage, options: ReceiptOptions) {
    this.#request = request;
    this.#options = options;
  }

  /** Reads to the end. The bytes; or why they are refused; null: the client left. */
  read(): Promise<Buffer | Refusal | null> {
    const { announced, hold, paceMs = defaultPaceMs } = this.#options;
    const request = this.#request;
    if (hold !== undefined && (announced === null || announced >= smallBytes)) {
      hold.onGiveWay = () => this.#refuse(overloaded());
      this.#pacing = setInterval(() => this.#judgePace(paceMs), paceMs);
    }
    if (announced !== null && announced >= smallBytes) this.#whole = Buffer.allocUnsafeSlow(announced);
    const source = this.#decoded();
    source.on('data', this.#onData);
    source.on('end', this.#onEnd);
    request.on('error', this.#onLeave);
    // A request that was answered early, because its key was revoked, emits nothing when it ends.
    request.socket.on('close', this.#onLeave);
    return this.#done.promise;
  }

  /** The request, or the end of its decoders. */
  #decoded(): Readable {
    let source: Readable = this.#request;
    for (const decoder of this.#options.decoders) source = source.pipe(decoder.on('error', this.#onDamage));
    return source;
  }

  readonly #onDamage = (): void => this.#refuse(damaged(this.#request.headers['content-encoding'] ?? ''));

  readonly #onData = (chunk: Buffer): void => {
    const before = this.#length;
    this.#length += chunk.length;
    const { limitBytes } = this.#options;
    if (this.#length > limitBytes) this.#refuse(tooLarge(limitBytes));
    else if (this.#whole !== null) chunk.copy(this.#whole, before);
    else if (this.#hasRoom()) this.#chunks.push(chunk);
    else this.#refuse(overloaded());
  };

  readonly #onEnd = (): void => {
    const chunks = this.#chunks;
    this.#settle(this.#whole ?? (chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, this.#length)));
  };

  readonly #onLeave = (): void => this.#settle(null);

  /** True if the budget covers what has arrived of a body without a length. */
  #hasRoom(): boolean {
    const { hold, announced, limitBytes } = this.#options;
    if (hold === undefined || announced !== null) return true;
    while (this.#length > this.#granted) {
      const step = Math.min(stepBytes, limitBytes - this.#granted);
      if (!hold.budget.grow(hold, step)) return false;
      this.#granted += step;
    }
    return true;
  }

  #judgePace(paceMs: number): void {
    const arrived = this.#length - this.#lengthBefore;
    this.#lengthBefore = this.#length;
    const { hold } = this.#options;
    if (hold?.budget.isShort === true && arrived < (leastBytesPerSecond * paceMs) / 1000) this.#refuse(overloaded());
  }

  /** Ends the receipt and drops what has arrived. */
  #refuse(refusal: Refusal): void {
    const { hold } = this.#options;
    this.#request.pause();
    this.#chunks.length = 0;
    this.#whole = null;
    this.#settle(refusal);
    hold?.budget.release(hold);
  }

  #settle(result: Buffer | Refusal | null): void {
    const request = this.#request;
    const { hold, decoders } = this.#options;
    clearInterval(this.#pacing);
    if (hold !== undefined) {
      hold.onGiveWay = null;
      hold.budget.settle(hold);
    }
    const source = decoders.at(-1) ?? request;
    source.off('data', this.#onData);
    source.off('end', this.#onEnd);
    if (decoders.length > 0) request.unpipe();
    for (const decoder of decoders) decoder.destroy();
    request.socket.off('close', this.#onLeave);
    this.#done.resolve(result);
  }
}
