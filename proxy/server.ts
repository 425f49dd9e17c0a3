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
    (request, response) => void handler(request, response),
  );
  server.maxConnections = limits.connections;
  // WebSockets and CONNECT would carry calls past the meter.
  server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'));
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'));
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
