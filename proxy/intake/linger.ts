import type { ServerResponse } from 'node:http';

const lingerMs = 2_000;
/** The largest body that a client could have meant to send. */
const lingerBytes = 32 * 1024 * 1024;

/**
 * Sends the body of an answer to a request that was not read to its end, and closes the connection in stages (RFC 9112 9.6):
 * the rest of the request is read and dropped, for 2 s or 32 MiB at most. Closed at once, a client that writes everything before
 * it reads would see a broken pipe and not the answer.
 */
export function endUnread(response: ServerResponse, body: Buffer): void {
  const { req: request } = response;
  let left = lingerBytes;
  const end = (): void => {
    clearTimeout(timer);
    request.off('data', drop);
    response.end();
  };
  const drop = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left < 0) end();
  };
  const timer = setTimeout(end, lingerMs);
  response.write(body);
  response.on('close', end);
  request.on('data', drop).on('end', end).on('error', end).resume();
}
