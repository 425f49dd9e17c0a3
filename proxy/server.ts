import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Connections } from './intake/connections.ts';
import type { ProxyLimits } from './limits.ts';

/** Handles one request until its answer has ended; never rejects. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

interface AgentServerDeps {
  readonly limits: ProxyLimits;
  readonly connections: Connections;
}

const sweepMs = 1_000;

/** The listener for agents. It applies only transport limits; `line.ts` makes every decision. */
export function createAgentServer(handler: Handler, { limits, connections }: AgentServerDeps): Server {
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
      // During shutdown, connections end after their answer.
      if (!server.listening) response.shouldKeepAlive = false;
      void handler(request, response);
    },
  );
  server.on('connection', (socket) => connections.add(socket));
  const sweeping = setInterval(() => connections.sweep(), sweepMs).unref();
  server.on('close', () => clearInterval(sweeping));
  // No listener for `upgrade` and `connect`, on purpose: a detached socket has no error handler, so that one reset would end
  // the process. Without listeners, a WebSocket request is a plain GET (426), `Upgrade: h2c` of Java clients is ignored, and CONNECT is cut.
  return server;
}

/** Starts listening; resolves with the address as a URL. Rejects with a message that names the address. */
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
