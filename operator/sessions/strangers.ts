import type { Duplex } from 'node:stream';

/** Connections that have not yet shown who they are, by address. */
export interface Strangers {
  /** True where an address has as many as it may have. */
  isFull(address: string): boolean;
  /** Counts one until it ends or is known, which the returned function tells. One that sends more than a hello is ended. */
  add(address: string, socket: Duplex): () => void;
}

/** None yet. `most` of one address, so that no Pod keeps the others out; `bytes` of each, since anybody may send half of a large frame. */
export function createStrangers({ most, bytes }: { readonly most: number; readonly bytes: number }): Strangers {
  const counts = new Map<string, number>();
  return {
    isFull: (address) => (counts.get(address) ?? 0) >= most,
    add(address, socket) {
      let received = 0;
      let isStranger = true;
      counts.set(address, (counts.get(address) ?? 0) + 1);
      const receive = (part: Buffer): void => {
        received += part.length;
        if (received > bytes) socket.destroy();
      };
      function known(): void {
        if (!isStranger) return;
        isStranger = false;
        socket.off('data', receive);
        const left = (counts.get(address) ?? 0) - 1;
        if (left > 0) counts.set(address, left);
        else counts.delete(address);
      }
      socket.on('data', receive);
      socket.on('close', known);
      return known;
    },
  };
}
