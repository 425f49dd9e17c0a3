import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Maximum of connections from one address to webhook and control port: the proxies of one node, or a burst of an API server. */
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

/** Ends connections beyond a maximum for each address, so that no Pod takes all memory or descriptors. */
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

/** Memory for request bodies in transit, in bytes, with a total and a limit for each address. */
export class ReceiveBudget {
  readonly #max: { readonly bytes: number; readonly perAddressBytes: number };
  readonly #byAddress = new AddressTotals();
  #total = 0;

  constructor(max: { readonly bytes: number; readonly perAddressBytes: number }) {
    this.#max = max;
  }

  /** Takes bytes; returns false and takes nothing if the budget is exhausted. */
  take(address: string, bytes: number): boolean {
    const { bytes: max, perAddressBytes } = this.#max;
    if (this.#total + bytes > max || this.#byAddress.of(address) + bytes > perAddressBytes) return false;
    this.#total += bytes;
    this.#byAddress.add(address, bytes);
    return true;
  }

  /** Releases bytes. Call it once with all that was taken. */
  release(address: string, bytes: number): void {
    this.#total -= bytes;
    this.#byAddress.add(address, -bytes);
  }
}

/**
 * Connections whose peer is not attested yet. It allows `maxPerAddress` from one address, so that no Pod blocks the others,
 * and `maxBytes` on each, because anybody may send half of a large frame.
 */
export class UnattestedConnections {
  readonly #max: { readonly maxPerAddress: number; readonly maxBytes: number };
  readonly #open = new AddressTotals();

  constructor(max: { readonly maxPerAddress: number; readonly maxBytes: number }) {
    this.#max = max;
  }

  /** True if an address has reached its maximum. */
  isFull(address: string): boolean {
    return this.#open.of(address) >= this.#max.maxPerAddress;
  }

  /** Counts a connection until it ends or until the returned function reports attestation. Ends a connection that sends too much. */
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
