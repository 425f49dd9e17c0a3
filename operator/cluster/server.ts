import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { Logger } from 'pino';
import type { ReviewAnswer } from '../inject/review.ts';
import { createRoom, limitCrowd, mostOfOneAddress, type Room } from './connections.ts';

/** The API server sends at most a 3 MiB object, in a review that holds it once or twice. */
const mostBytes = 8 * 1_048_576;
/** Anybody in the cluster may send, and need not finish: half-sent reviews of one Pod can neither fill the memory nor keep others out. */
const roomBounds = { bytes: 128 * 1_048_576, perAddressBytes: 32 * 1_048_576 };

/**
 * The operator's one TLS listener: `POST /inject` for the API server; WebSockets are served by whoever listens for upgrades.
 * Idle connections are kept longer than the API server keeps them, so that it never writes into one that is closing.
 */
export function createOperatorServer(review: (body: unknown) => Promise<ReviewAnswer>, logger: Logger): Server {
  const room = createRoom(roomBounds);
  const listener: RequestListener = (request, response) => {
    answer(request, review, room)
      .catch((error: unknown) => {
        logger.error({ err: error }, 'a review failed');
        return { status: 500, body: { message: 'the review failed; the log of the operator says more' } };
      })
      .then(({ status, body }) => {
        // The next review of that connection is for another replica, or the next start.
        if (!server.listening) response.setHeader('connection', 'close');
        send(response, status, body);
      });
  };
  const timeouts = { handshakeTimeout: 10_000, headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 5_000 };
  const server = createServer({ ...timeouts, keepAliveTimeout: 120_000 }, listener);
  limitCrowd(server, mostOfOneAddress);
  server.on('tlsClientError', (error) => logger.debug({ err: error }, 'a TLS handshake failed'));
  return server;
}

async function answer(request: IncomingMessage, review: (body: unknown) => Promise<ReviewAnswer>, room: Room): Promise<Answer> {
  const path = request.url?.split('?', 1)[0];
  if (path !== '/inject' || request.method !== 'POST') {
    request.resume();
    return { status: 404, body: { message: 'not found: POST /inject' } };
  }
  const bytes = await receive(request, room);
  if (typeof bytes === 'string') return { status: 503, body: { message: bytes } };
  return review(parse(bytes));
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A sentence where there is no room for it; what is left of it is then not read. Never rejects. */
function receive(request: IncomingMessage, room: Room): Promise<Buffer | string> {
  const { remoteAddress = '' } = request.socket;
  const parts: Buffer[] = [];
  let size = 0;
  const received = new Promise<Buffer | string>((resolve) => {
    request.on('data', (part: Buffer) => {
      const fault = size + part.length > mostBytes ? `more than ${mostBytes} bytes` : refusal(part);
      if (fault !== null) return stop(fault);
      size += part.length;
      parts.push(part);
    });
    request.on('end', () => resolve(Buffer.concat(parts)));
    // Its sender went away: the answer reaches nobody.
    request.on('error', () => resolve('the review was not sent whole'));
    request.on('close', () => resolve('the review was not sent whole'));

    function refusal(part: Buffer): string | null {
      return room.take(remoteAddress, part.length) ? null : 'too many reviews are being sent: try again';
    }

    function stop(fault: string): void {
      request.removeAllListeners('data').pause();
      resolve(fault);
    }
  });
  return received.finally(() => room.leave(remoteAddress, size));
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}

/** What was answered before it was whole is not read to its end. */
function send(response: ServerResponse, status: number, body: unknown): void {
  const { req: request } = response;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body), () => {
    if (!request.complete) request.destroy();
  });
}

/** Starts a server; resolves to its port. */
export function listenOn(server: NetServer, { host, port }: { readonly host: string; readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error) => reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error })));
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
