import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';

/** A logger whose lines stay in memory. */
export interface LogCapture {
  readonly logger: Logger;
  text(): string;
}

/** Takes every level, so that nothing that could ever be logged escapes a test. */
export function openLog(): LogCapture {
  let text = '';
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { logger: pino({ level: 'trace' }, sink), text: () => text };
}
