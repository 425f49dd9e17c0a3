import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from '../core/errors.ts';
import type { TokenId } from '../core/names.ts';
import type { Dialect, StreamMeter } from './dialect/types.ts';
import type { InFlight } from './link/active-keys.ts';
import { respondRefusal, respondStreamError, type StreamKind } from './stages/respond.ts';

/** One request and its answer while they last: who may end it early, and what then happens upstream. */
export class Exchange implements InFlight, Disposable {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  readonly startedMs: number;
  readonly tokenId: TokenId;
  readonly dialect: Dialect;
  #meter: StreamMeter | null = null;
  readonly #inFlight: Set<InFlight>;
  #ended: Refusal | null = null;
  #gone = false;
  #abandoned: (() => () => void) | null = null;
  #over: (() => void) | null = null;
  #finished: PromiseWithResolvers<void> | null = null;
  /** `close` without a finished answer: the client has left. */
  readonly #onClose = (): void => {
    if (this.response.writableFinished) return;
    this.#gone = true;
    this.#abandon();
  };

  constructor(io: {
    request: IncomingMessage;
    response: ServerResponse;
    id: string;
    startedMs: number;
    tokenId: TokenId;
    dialect: Dialect;
    inFlight: Set<InFlight>;
  }) {
    this.request = io.request;
    this.response = io.response;
    this.id = io.id;
    this.startedMs = io.startedMs;
    this.tokenId = io.tokenId;
    this.dialect = io.dialect;
    this.#inFlight = io.inFlight;
    this.#inFlight.add(this);
    this.response.on('close', this.#onClose);
  }

  /** The reason why the call was ended from our side; null while it runs. */
  get ended(): Refusal | null {
    return this.#ended;
  }

  /** True once nobody waits for the answer: the client has left, or was told why it ends. */
  get abandoned(): boolean {
    return this.#gone || this.#ended !== null;
  }

  /** True where the client left by itself. */
  get clientLeft(): boolean {
    return this.#gone && this.#ended === null;
  }

  /** Resolves when the call is settled and recorded. */
  get finished(): Promise<void> {
    this.#finished ??= Promise.withResolvers();
    return this.#finished.promise;
  }

  /** From here on the answer is a stream in this meter’s framing. */
  streams(meter: StreamMeter | null): void {
    this.#meter = meter;
  }

  get streamKind(): StreamKind {
    return { dialect: this.dialect, framing: this.#meter?.framing ?? 'sse' };
  }

  /** `act` is called at most once, at once where that has already happened; what it returns, when the exchange is over. */
  whenAbandoned(act: () => () => void): void {
    this.#over?.();
    this.#over = null;
    this.#abandoned = act;
    if (this.abandoned) this.#abandon();
  }

  end(reason: Refusal): void {
    if (this.abandoned || this.response.writableEnded) return;
    this.#ended = reason;
    if (this.response.headersSent) respondStreamError(this.response, this.streamKind, reason, this.id);
    else respondRefusal(this.response, this.dialect.family, reason, { requestId: this.id });
    this.#abandon();
  }

  #abandon(): void {
    const act = this.#abandoned;
    this.#abandoned = null;
    if (act !== null) this.#over = act();
  }

  [Symbol.dispose](): void {
    this.#over?.();
    this.#inFlight.delete(this);
    this.response.off('close', this.#onClose);
    this.#finished?.resolve();
  }
}
