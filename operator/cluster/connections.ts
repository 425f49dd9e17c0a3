import type { Server, Socket } from 'node:net';

/** Connections of one address to the webhook and control port, at most: the proxies of one node, or an API server in a burst. */
export const mostOfOneAddress = 2_048;

/** Ends connections beyond so many of one address: no Pod shall have the memory or the descriptors of all. */
export function limitCrowd(server: Server, perAddress: number): void {
  const held = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const count = held.get(address) ?? 0;
    if (count >= perAddress) {
      socket.destroy();
      return;
    }
    held.set(address, count + 1);
    socket.on('close', () => release(held, address, 1));
  });
}

/** Room for bodies that are being received, in bytes, shared by all and by each address. */
export interface Room {
  /** False where it is full: then nothing was taken. */
  take(address: string, bytes: number): boolean;
  /** To be called once with all that was taken. */
  leave(address: string, bytes: number): void;
}

/** An empty room. */
export function createRoom(bounds: { readonly bytes: number; readonly perAddressBytes: number }): Room {
  const held = new Map<string, number>();
  let all = 0;
  return {
    take(address, bytes) {
      const own = held.get(address) ?? 0;
      if (all + bytes > bounds.bytes || own + bytes > bounds.perAddressBytes) return false;
      all += bytes;
      held.set(address, own + bytes);
      return true;
    },
    leave(address, bytes) {
      all -= bytes;
      release(held, address, bytes);
    },
  };
}

function release(held: Map<string, number>, address: string, amount: number): void {
  const left = (held.get(address) ?? 0) - amount;
  if (left > 0) held.set(address, left);
  else held.delete(address);
}
