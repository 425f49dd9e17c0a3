import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Between one client and the API server: counts what passes, and can stop it. */
export interface Toll {
  /** A kubeconfig as the one given, by way of here. */
  readonly kubeconfigPath: string;
  /** Connections that were asked for so far. */
  attempts(): number;
  /** `refuse` ends connections at once, `swallow` lets them open and says nothing more, as a cable that was pulled. */
  block(how: 'refuse' | 'swallow'): void;
  open(): void;
  close(): Promise<void>;
}

/** Starts it before the API server of a kubeconfig. */
export async function startToll(kubeconfigPath: string): Promise<Toll> {
  const text = readFileSync(kubeconfigPath, 'utf8');
  const { clusters } = JSON.parse(text) as { readonly clusters: readonly [{ readonly cluster: { readonly server: string } }] };
  const { server: url } = clusters[0].cluster;
  const sockets = new Set<Socket>();
  let attempts = 0;
  let blocked: 'refuse' | 'swallow' | null = null;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = createServer((socket) => {
    attempts += 1;
    keep(socket);
    if (blocked === 'refuse') socket.destroy();
    if (blocked !== null) return;
    const far = connect(Number(new URL(url).port), '127.0.0.1');
    keep(far);
    socket.pipe(far).pipe(socket);
    socket.on('close', () => far.destroy());
    far.on('close', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const path = `${kubeconfigPath}.toll`;
  writeFileSync(path, text.replaceAll(url, `https://127.0.0.1:${(server.address() as AddressInfo).port}`), { mode: 0o600 });
  return {
    kubeconfigPath: path,
    attempts: () => attempts,
    block(how) {
      blocked = how;
      for (const socket of sockets) {
        if (how === 'refuse') socket.destroy();
        else socket.unpipe().pause();
      }
    },
    open() {
      blocked = null;
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
