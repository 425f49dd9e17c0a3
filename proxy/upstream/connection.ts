import type { Socket } from 'node:net';
import type { buildConnector, Dispatcher, Client as UndiciClient } from 'undici';
import Client from 'undici/lib/dispatcher/client.js';

/** A handler that learns which connection carries its request. */
export interface ConnectionHandler extends Dispatcher.DispatchHandler {
  /** Called before `onRequestStart`. */
  onConnection(connection: Connection): void;
}

/** One socket of an origin at a time, one request on it at a time. */
export class Connection extends Client {
  #socket: Socket | null = null;
  /** Requests that began on the socket. */
  #requests = 0;

  constructor(origin: URL, options: UndiciClient.Options & { readonly connect: buildConnector.connector }) {
    super(origin, {
      ...options,
      connect: (target, callback) =>
        options.connect(target, (...[error, socket]: buildConnector.CallbackArgs) => {
          if (error !== null) {
            callback(error, null);
            return;
          }
          this.#socket = socket;
          this.#requests = 0;
          callback(null, socket);
        }),
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: ConnectionHandler): boolean {
    handler.onConnection(this);
    return super.dispatch(options, handler);
  }

  /** Call this in `onRequestStart`: the request is written at once after it. */
  begin(): Sending {
    if (this.#socket === null) throw new Error('a request began without a socket');
    return new Sending(this.#socket, this.#requests++ > 0);
  }
}

/** One request on a socket, and what is known of it when it fails. */
export class Sending {
  readonly #socket: Socket;
  readonly #isReused: boolean;
  readonly #bytesReadBefore: number;
  /**
   * True if no byte left, because the peer's close was here before. undici writes only after it has read what had arrived;
   * a reset since then fails the first write at once. Later failures do not show how much was sent before them.
   */
  wasRefused = false;

  constructor(socket: Socket, isReused: boolean) {
    this.#socket = socket;
    this.#isReused = isReused;
    this.#bytesReadBefore = socket.bytesRead;
    process.nextTick(() => {
      const { errored } = socket;
      this.wasRefused = errored !== null && 'syscall' in errored && errored.syscall === 'write';
    });
  }

  /** True if an earlier request used the socket, and no byte has arrived since. */
  get isUnansweredOnReused(): boolean {
    return this.#isReused && this.#socket.bytesRead === this.#bytesReadBefore;
  }
}
