import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

interface ConnectionLimits {
  readonly connections: number;
  readonly connectionsPerAddress?: number;
  readonly keylessMs: number;
}

/** The open connections from one address. */
interface Origin {
  readonly address: string;
  open: number;
  /** Oldest first. */
  readonly keyless: Set<Socket>;
  /** Those with a known key that await no answer, longest first; empty if addresses have no limit. */
  readonly resting: Set<Socket>;
}

/** Connections without a call, longest first. */
interface Idle {
  readonly keyless: Pick<ReadonlyMap<Socket, unknown>, 'size' | 'keys'>;
  readonly resting: Iterable<Socket>;
}

/**
 * The open connections of agents. One that has not presented a known key must do so in time. Where there is no room for a new
 * one, the oldest of those gives way, then the one that has been idle for longest, then the one whose request has been arriving
 * for longest, so that sockets without a call never shut out calls; without any, the new one is closed.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #monotonic: () => number;
  readonly #hasAddressLimit: boolean;
  readonly #open = new Map<Socket, Origin>();
  /** Since when, oldest first. */
  readonly #keyless = new Map<Socket, number>();
  /** Longest first. */
  readonly #resting = new Set<Socket>();
  /** Requests with a known key that await their answer, oldest first. */
  readonly #calls = new Map<Socket, IncomingMessage>();
  readonly #origins = new Map<string, Origin>();

  constructor(limits: ConnectionLimits, monotonic: () => number) {
    this.#limits = limits;
    this.#monotonic = monotonic;
    this.#hasAddressLimit = limits.connectionsPerAddress !== undefined;
  }

  add(socket: Socket): void {
    const { connections, connectionsPerAddress = Number.POSITIVE_INFINITY } = this.#limits;
    // Undefined: it is closed already.
    const origin = this.#originAt(socket.remoteAddress ?? '');
    origin.open += 1;
    origin.keyless.add(socket);
    this.#open.set(socket, origin);
    this.#keyless.set(socket, this.#monotonic());
    socket.once('close', () => this.#remove(socket));
    if (origin.open > connectionsPerAddress) this.#close(this.#weakest(origin, origin));
    else if (this.#open.size > connections) this.#close(this.#weakest({ keyless: this.#keyless, resting: this.#resting }));
  }

  /** The request has a known key, and awaits its answer. */
  know(request: IncomingMessage): void {
    const { socket } = request;
    this.#calls.set(socket, request);
    if (this.#keyless.delete(socket)) this.#open.get(socket)?.keyless.delete(socket);
    else if (this.#resting.delete(socket) && this.#hasAddressLimit) this.#open.get(socket)?.resting.delete(socket);
  }

  /** A request of a connection with a known key has its answer. */
  rest(socket: Socket): void {
    this.#calls.delete(socket);
    if (socket.destroyed) return;
    this.#resting.add(socket);
    if (this.#hasAddressLimit) this.#open.get(socket)?.resting.add(socket);
  }

  /** Closes those that had their time to present a key. Call it every second. */
  sweep(): void {
    const before = this.#monotonic() - this.#limits.keylessMs;
    for (const [socket, since] of this.#keyless) {
      if (since > before) return;
      this.#close(socket);
    }
  }

  /** The one that gives way: the newest is the last without a key. `origin`: only one of that address. */
  #weakest({ keyless, resting }: Idle, origin?: Origin): Socket | undefined {
    const [oldest] = keyless.keys();
    if (keyless.size > 1) return oldest;
    for (const socket of resting) if (socket.writableLength === 0) return socket;
    for (const [socket, { complete }] of this.#calls)
      if (!complete && (origin === undefined || this.#open.get(socket) === origin)) return socket;
    return oldest;
  }

  #originAt(address: string): Origin {
    const known = this.#origins.get(address);
    if (known !== undefined) return known;
    const origin = { address, open: 0, keyless: new Set<Socket>(), resting: new Set<Socket>() };
    this.#origins.set(address, origin);
    return origin;
  }

  /** At once, because the next connection may come before this one's `close`. */
  #close(socket: Socket | undefined): void {
    if (socket === undefined) return;
    this.#remove(socket);
    socket.destroy();
  }

  #remove(socket: Socket): void {
    const origin = this.#open.get(socket);
    if (origin === undefined) return;
    this.#open.delete(socket);
    this.#calls.delete(socket);
    this.#keyless.delete(socket);
    origin.keyless.delete(socket);
    if (this.#resting.delete(socket)) origin.resting.delete(socket);
    origin.open -= 1;
    if (origin.open === 0) this.#origins.delete(origin.address);
  }
}
