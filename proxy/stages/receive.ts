import type { IncomingMessage } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';

/** Reads a request's whole body, up to `limitBytes`. Null: the client left, so nobody waits for an answer. */
export function receive(request: IncomingMessage, limitBytes: number): Promise<Buffer | Refusal | null> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    return Promise.resolve(
      refuse('invalid_request', `The body is sent with content-encoding ${JSON.stringify(encoding)}: send it uncompressed.`),
    );
  }
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) return Promise.resolve(tooLarge(limitBytes));
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (result: Buffer | Refusal | null): void => {
      request.socket.off('close', leave);
      resolve(result);
    };
    const leave = (): void => settle(null);
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > limitBytes) {
        request.pause();
        settle(tooLarge(limitBytes));
      } else {
        chunks.push(chunk);
      }
    });
    request.on('end', () => settle(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length)));
    request.on('error', leave);
    // A request that was answered early, because its key was revoked, emits nothing when it ends.
    request.socket.on('close', leave);
  });
}

function tooLarge(limitBytes: number): Refusal {
  return refuse(
    'too_large',
    `The body is larger than ${limitBytes} bytes: send less, or upload large files to the provider by other means.`,
  );
}
