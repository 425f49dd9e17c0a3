import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server } from 'node:tls';
import { keepCertificate } from './publish.ts';
import type { Authority } from './types.ts';

/** A TLS server on loopback that shows an authority's leaf. */
export async function serve(authority: Authority): Promise<AsyncDisposable & { readonly port: number }> {
  const server: Server = createServer((socket) => socket.on('error', () => socket.destroy()).end());
  server.on('tlsClientError', () => {});
  const stop = keepCertificate(server, authority);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      stop();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The serial number that a client which trusts `ca` alone is shown; rejects with the client's own error where it refuses. */
export async function handshake(port: number, ca: string, servername: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', ca, servername });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}
