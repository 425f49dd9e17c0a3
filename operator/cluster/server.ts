import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { Logger } from 'pino';
import { parseJson } from '../../core/json.ts';
import { limitConnections, maxConnectionsPerAddress, ReceiveBudget } from '../connections.ts';
import type { ReviewAnswer } from '../inject/review.ts';

/** The API server sends objects of at most 3 MiB, once or twice in a review. */
const maxBytes = 8 * 1_048_576;
/** Bounds half-sent reviews: anybody in the cluster may send them, and one Pod must neither fill the memory nor block others. */
const roomBounds = { bytes: 128 * 1_048_576, perAddressBytes: 32 * 1_048_576 };

type Review = (body: unknown) => Promise<ReviewAnswer>;

/**
 * Makes the operator's one TLS listener, for webhook and control port. It keeps idle connections longer than the API server does,
 * so that the API server never writes to a closing connection.
 */
export function createOperatorServer(logger: Logger): Server {
  const timeouts = { handshakeTimeout: 10_000, headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 5_000 };
  const server = createServer({ ...timeouts, keepAliveTimeout: 120_000 });
  limitConnections(server, maxConnectionsPerAddress);
  server.on('tlsClientError', (error) => logger.debug({ err: error }, 'a TLS handshake failed'));
  return server;
}

/** Answers `POST /inject` with `review`. The control port handles upgrades. */
export function answerReviews(server: Server, review: Review, logger: Logger): void {
  const room = new ReceiveBudget(roomBounds);
  server.on('request', (request, response) => {
    answer(request, review, room)
      .catch((error: unknown) => {
        logger.error({ err: error }, 'a review failed');
        return { status: 500, body: { message: 'the review failed; see the log of the operator' } };
      })
      .then(({ status, body }) => {
        // Send the next review of that connection to another replica, or to the next start.
        if (!server.listening) response.setHeader('connection', 'close');
        send(response, status, body);
      });
  });
}

async function answer(request: IncomingMessage, review: Review, room: ReceiveBudget): Promise<Answer> {
  const path = request.url?.split('?', 1)[0];
  if (path !== '/inject' || request.method !== 'POST') {
    request.resume();
    return { status: 404, body: { message: 'not found: POST /inject' } };
  }
  const bytes = await receive(request, room);
  if (typeof bytes === 'string') return { status: 503, body: { message: bytes } };
  return review(parseJson(bytes.toString()) ?? null);
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Reads the body; returns a text if it cannot read all of it. Never rejects. */
function receive(request: IncomingMessage, room: ReceiveBudget): Promise<Buffer | string> {
  const { remoteAddress = '' } = request.socket;
  const parts: Buffer[] = [];
  let size = 0;
  const received = new Promise<Buffer | string>((resolve) => {
    request.on('data', (part: Buffer) => {
      const fault = size + part.length > maxBytes ? `more than ${maxBytes} bytes` : refusal(part);
      if (fault !== null) return stop(fault);
      size += part.length;
      parts.push(part);
    });
    request.on('end', () => resolve(Buffer.concat(parts)));
    // The sender has disconnected: nobody receives the answer.
    request.on('error', () => resolve('the review is incomplete'));
    request.on('close', () => resolve('the review is incomplete'));

    function refusal(part: Buffer): string | null {
      return room.take(remoteAddress, part.length) ? null : 'the operator is receiving too many reviews: retry';
    }

    function stop(fault: string): void {
      request.removeAllListeners('data').pause();
      resolve(fault);
    }
  });
  return received.finally(() => room.release(remoteAddress, size));
}

/** Sends a response; does not read the rest of a request that is answered early. */
function send(response: ServerResponse, status: number, body: unknown): void {
  const { req: request } = response;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body), () => {
    if (!request.complete) request.destroy();
  });
}

/** Starts a server; resolves with its port. */
export function listenOn(server: NetServer, { host, port }: { readonly host: string; readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error) => reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error })));
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
