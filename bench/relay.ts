import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Pool from 'undici/lib/dispatcher/pool.js';

/**
 * The yardstick: the least that a proxy on this platform can do. The body is buffered and sent on with one credential header, the
 * answer is streamed back with back-pressure. No policy, no budget, no record. `node bench/relay.ts http://127.0.0.1:9000` prints its URL.
 */
export function createRelay(upstream: string, credential: string): Server {
  const pool = new Pool(upstream, { connections: 256, pipelining: 1, allowH2: false, keepAliveTimeout: 30_000 });
  const server = createServer({ noDelay: true }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () =>
      relay(pool, credential, request, response, chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    );
  });
  server.on('close', () => void pool.destroy());
  return server;
}

function relay(pool: Pool, credential: string, request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const headers = ['content-type', request.headers['content-type'] ?? 'application/json', 'authorization', `Bearer ${credential}`];
  pool.dispatch(
    { method: 'POST', path: request.url ?? '/', headers, body },
    {
      onRequestStart(controller) {
        response.on('drain', () => controller.resume());
        response.on('close', () => {
          if (!response.writableFinished) controller.abort(new Error('client left'));
        });
      },
      onResponseStart(_controller, status, answered) {
        const { connection: _connection, 'transfer-encoding': _framing, ...kept } = answered;
        response.writeHead(status, kept);
      },
      onResponseData(controller, chunk) {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd() {
        response.end();
      },
      onResponseError(_controller, error) {
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end(error.name);
      },
    },
  );
}

if (import.meta.main) {
  const server = createRelay(process.argv[2] ?? '', 'sk-bench');
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  });
}
