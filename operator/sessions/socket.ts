import type { WebSocket } from 'ws';
import type { SessionTimings } from '../../core/protocol/session.ts';

/** Pings a peer and ends the connection of a silent one, because a cut cable looks like a quiet proxy. */
export function keepAlive(socket: WebSocket, { beatMs, silenceMs }: Pick<SessionTimings, 'beatMs' | 'silenceMs'>): void {
  const maxSilentBeats = Math.ceil(silenceMs / beatMs);
  let silentBeats = 0;
  const onSign = (): void => {
    silentBeats = 0;
  };
  const timer = setInterval(() => {
    silentBeats += 1;
    if (silentBeats > maxSilentBeats) socket.terminate();
    else socket.ping();
  }, beatMs);
  socket.on('pong', onSign);
  socket.on('message', onSign);
  socket.on('close', () => clearInterval(timer));
}

/**
 * Pauses reading while messages arrive faster than this, so that the peer waits in its own send buffer. The operator still
 * answers what it has already read from the network; a longer pause makes up for that.
 */
export function limitRate(socket: WebSocket, perSecond: number, monotonic: () => number): void {
  const limit = new ReadLimit(socket, perSecond, monotonic);
  socket.on('message', () => limit.count());
  socket.on('close', () => limit.close());
}

/** A token bucket that holds two seconds' worth. */
class ReadLimit {
  readonly #socket: WebSocket;
  readonly #perSecond: number;
  readonly #monotonic: () => number;
  #left: number;
  #at: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, perSecond: number, monotonic: () => number) {
    this.#socket = socket;
    this.#perSecond = perSecond;
    this.#monotonic = monotonic;
    this.#left = perSecond * 2;
    this.#at = monotonic();
  }

  count(): void {
    this.#refill();
    this.#left -= 1;
    if (this.#left >= 0 || this.#timer !== undefined) return;
    this.#socket.pause();
    this.#wait();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #refill(): void {
    const now = this.#monotonic();
    this.#left = Math.min(this.#perSecond * 2, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.#readAgain(), Math.ceil((-this.#left / this.#perSecond) * 1000));
  }

  #readAgain(): void {
    this.#refill();
    this.#timer = undefined;
    if (this.#left < 0) this.#wait();
    else this.#socket.resume();
  }
}
