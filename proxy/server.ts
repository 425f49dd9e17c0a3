import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ProxyLimits } from './limits.ts';

/** Handles one request to its very end; never rejects. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** The agent-side listener: only transport limits here, every decision is in `line.ts`. */
export function createAgentServer(handler: Handler, limits: ProxyLimits): Server {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.requestTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 5_000,
      noDelay: true,
    },
    (request, response) => {
      // While the process ends its connections do too.
      if (!server.listening) response.shouldKeepAlive = false;
      void handler(request, response);
    },
  );
  server.maxConnections = limits.connections;
  // No listener for `upgrade` and `connect`, on purpose: a socket handed over has no handler of its errors, so that one reset would end
  // the process. Without them a WebSocket request is a plain GET (404), `Upgrade: h2c` of Java clients is passed over, CONNECT is cut.
  return server;
}

/** Listens; resolves with the address as a URL. Rejects with a message that names the address. */
export function listen(server: Server, at: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`cannot listen on ${at.host}:${at.port}: ${error.message}`, { cause: error })));
    server.listen(at.port, at.host, () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : at.port;
      resolve(`http://${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`);
    });
  });
}
