import type { Writable } from 'node:stream';

/** One stream of this process, as a command prints to it. */
export interface Output {
  /** Queues text; discards it once the reader has left. */
  write(text: string): unknown;
  /** Resolves when the reader has taken everything; false where it left before. */
  drained(): Promise<boolean>;
}

/** Where a command prints. */
export interface Streams {
  readonly stdout: Output;
  readonly stderr: Output;
}

/** What a command that serves is given of its process. */
export interface ServerStreams extends Streams {
  /** Aborted at the first SIGTERM or SIGINT. */
  readonly stop: AbortSignal;
}

/** A pipe reports the one, a socket that stands for a pipe the other. */
const readerLeft: readonly unknown[] = ['EPIPE', 'ECONNRESET'];

/** A stream whose reader may leave at any time (`| head -1`), which is no error; any other failure of it is thrown. */
export function createOutput(stream: Writable): Output {
  let isRead = true;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    isRead = false;
    if (!readerLeft.includes(error.code)) throw error;
  });
  return {
    write: (text) => isRead && stream.write(text),
    drained: async () => isRead && new Promise((resolve) => stream.write('', (error) => resolve(isRead && !error))),
  };
}
