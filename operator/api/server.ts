import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A listening admin API. */
export interface AdminServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts listening; rejects if the address cannot be used. */
export async function listenAdmin(
  handler: RequestListener,
  listen: { readonly host: string; readonly port: number },
): Promise<AdminServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 16_384 }, handler);
  server.listen(listen.port, listen.host);
  await once(server, 'listening').catch((error: unknown) => {
    throw new Error(addressProblem(error) ?? 'the admin API cannot listen', { cause: error });
  });
  const { port } = server.address() as AddressInfo;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return {
    url: `http://${host}:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use',
  EACCES: 'needs privileges',
  EADDRNOTAVAIL: 'is not an address of this machine',
  ENOTFOUND: 'is not a known host',
};

/** Says why KeyForge cannot listen on an address; null if the error is about something else. */
export function addressProblem(error: unknown): string | null {
  const {
    code = '',
    address,
    hostname,
    port,
  } = error as { readonly [field in 'code' | 'address' | 'hostname']?: string } & { readonly port?: number };
  const why = reasons[code];
  const host = address ?? hostname;
  if (why === undefined || host === undefined) return null;
  return `${port === undefined ? host : `${host}:${port}`} ${why}: choose another with --listen, --admin-listen or --metrics-listen`;
}
