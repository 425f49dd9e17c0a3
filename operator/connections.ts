import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Connections of one address to the webhook and control port, at most: the proxies of one node, or an API server in a burst. */
export const maxConnectionsPerAddress = 2_048;

/** Amounts by remote address. */
class AddressTotals {
  readonly #totals = new Map<string, number>();

  of(address: string): number {
    return this.#totals.get(address) ?? 0;
  }

  add(address: string, amount: number): void {
    const total = this.of(address) + amount;
    if (total > 0) this.#totals.set(address, total);
    else this.#totals.delete(address);
  }
}

/** Ends connections beyond so many of one address: no Pod shall have the memory or the descriptors of all. */
export function limitConnections(server: Server, maxPerAddress: number): void {
  const open = new AddressTotals();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (open.of(address) >= maxPerAddress) {
      socket.destroy();
      return;
    }
    open.add(address, 1);
    socket.on('close', () => open.add(address, -1));
  });
}

/** Memory for bodies that are being received, in bytes, shared by all and by each address. */
export class ReceiveBudget {
  readonly #max: { readonly bytes: number; readonly perAddressBytes: number };
  readonly #byAddress = new AddressTotals();
  #total = 0;

  constructor(max: { readonly bytes: number; readonly perAddressBytes: number }) {
    this.#max = max;
  }

  /** False where the budget is used up: then nothing was taken. */
  take(address: string, bytes: number): boolean {
    const { bytes: max, perAddressBytes } = this.#max;
    if (this.#total + bytes > max || this.#byAddress.of(address) + bytes > perAddressBytes) return false;
    this.#total += bytes;
    this.#byAddress.add(address, bytes);
    return true;
  }

  /** To be called once with all that was taken. */
  release(address: string, bytes: number): void {
    this.#total -= bytes;
    this.#byAddress.add(address, -bytes);
  }
}

/**
 * Connections whose peer has not yet shown who it is. At most `maxPerAddress` of one address, so that no Pod keeps the others
 * out; at most `maxBytes` from each, since anybody may send half of a large frame.
 */
export class UnattestedConnections {
  readonly #max: { readonly maxPerAddress: number; readonly maxBytes: number };
  readonly #open = new AddressTotals();

  constructor(max: { readonly maxPerAddress: number; readonly maxBytes: number }) {
    this.#max = max;
  }

  /** True where an address has as many as it may have. */
  isFull(address: string): boolean {
    return this.#open.of(address) >= this.#max.maxPerAddress;
  }

  /** Counts a connection until it ends or the returned function says that its peer is attested. Ends one that sends too much. */
  add(address: string, socket: Duplex): () => void {
    let received = 0;
    let isCounted = true;
    const onData = (part: Buffer): void => {
      received += part.length;
      if (received > this.#max.maxBytes) socket.destroy();
    };
    const onDone = (): void => {
      if (!isCounted) return;
      isCounted = false;
      socket.off('data', onData);
      this.#open.add(address, -1);
    };
    this.#open.add(address, 1);
    socket.on('data', onData);
    socket.on('close', onDone);
    return onDone;
  }
}
