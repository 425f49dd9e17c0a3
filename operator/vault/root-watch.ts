import type { Logger } from 'pino';
import type { RootKeys } from './root-keys.ts';

const retryMs = 1_000;

/** Follows the root keys: their Secret may have changed. */
export interface RootWatch {
  /** Reads them, one reading at a time, again until the API server answers. */
  look(): void;
  /** Settles when they were read once, be it that there are none. */
  readonly read: Promise<void>;
  close(): void;
}

/** Nothing is read before the first `look`. */
export function createRootWatch(rootKeys: Pick<RootKeys, 'read'>, logger: Logger): RootWatch {
  const first = Promise.withResolvers<void>();
  let reading = false;
  let wanted = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function look(): Promise<void> {
    wanted = true;
    if (reading || closed) return;
    reading = true;
    clearTimeout(timer);
    try {
      while (wanted) {
        wanted = false;
        await rootKeys.read();
      }
      first.resolve();
    } catch (error) {
      logger.warn({ err: error }, 'the root keys could not be read; to be tried again');
      timer = setTimeout(look, retryMs);
    } finally {
      reading = false;
    }
  }

  return {
    look: () => void look(),
    read: first.promise,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
