import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** As a Service before several replicas on this machine. */
export interface Balancer {
  readonly port: number;
  /** Connections that it has led on so far. */
  connections(): number;
  close(): void;
}

/** Leads each connection to the next of the ports that `ready` names at that time; one that was led on stays until either side ends it. */
export async function startBalancer(ready: () => readonly number[]): Promise<Balancer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    const ports = ready();
    const port = ports[connections % ports.length];
    if (port === undefined) {
      socket.destroy();
      return;
    }
    connections += 1;
    const far = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [socket, far],
      [far, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy()).on('close', () => sockets.delete(one) && other.destroy());
      one.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
