import type { WebSocket } from 'ws';
import type { SessionTimings } from '../../core/protocol/session.ts';

/** Pings a peer and ends the connection of one that is silent: without it a cut cable looks like a quiet proxy. */
export function keepAlive(socket: WebSocket, { beatMs, silenceMs }: Pick<SessionTimings, 'beatMs' | 'silenceMs'>): void {
  const allowed = Math.ceil(silenceMs / beatMs);
  let silent = 0;
  const heard = (): void => {
    silent = 0;
  };
  const timer = setInterval(() => {
    silent += 1;
    if (silent > allowed) socket.terminate();
    else socket.ping();
  }, beatMs);
  socket.on('pong', heard);
  socket.on('message', heard);
  socket.on('close', () => clearInterval(timer));
}

/**
 * Reads no further for a while where messages come faster than this: the peer then waits in its own send buffer. What was read from the
 * network already is still answered, and has to be made up for.
 */
export function limitRate(socket: WebSocket, perSecond: number, monotonic: () => number): void {
  const most = perSecond * 2;
  let left = most;
  let at = monotonic();
  let timer: NodeJS.Timeout | undefined;

  function refill(): void {
    const now = monotonic();
    left = Math.min(most, left + ((now - at) / 1000) * perSecond);
    at = now;
  }

  function readAgain(): void {
    refill();
    timer = undefined;
    if (left < 0) wait();
    else socket.resume();
  }

  function wait(): void {
    timer = setTimeout(readAgain, Math.ceil((-left / perSecond) * 1000));
  }

  socket.on('message', () => {
    refill();
    left -= 1;
    if (left >= 0 || timer !== undefined) return;
    socket.pause();
    wait();
  });
  socket.on('close', () => clearTimeout(timer));
}
