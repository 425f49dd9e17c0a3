import { type Logger, pino } from 'pino';
import { redaction } from '../core/redaction.ts';

/** The process's logger: JSON lines on stderr, each written before the call returns. `level`: one of pino's. */
export function createLogger(level: string): Logger {
  return pino({ level, redact: redaction }, pino.destination({ dest: 2, sync: true }));
}
