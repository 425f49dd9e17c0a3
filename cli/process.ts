import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { crashText } from './crash.ts';
import { createOutput, type Streams } from './streams.ts';

/** So long a crash waits for a reader that has stopped reading: a process in an unknown state must not live on. */
const crashDrainMs = 5_000;

/**
 * Runs the program of this process and ends it with the exit code of `main`, once its output was taken. It is not left to the
 * event loop: what a failed start left open must not keep the process.
 */
export async function runProcess(main: (streams: Streams) => Promise<number>): Promise<void> {
  const streams: Streams = { stdout: createOutput(process.stdout), stderr: createOutput(process.stderr) };
  let isCrashing = false;
  const crash = async (error: unknown): Promise<void> => {
    if (isCrashing) return;
    isCrashing = true;
    streams.stderr.write(`keyforge: internal error ${randomUUID()}\n${crashText(error)}\n`);
    await Promise.race([drained(streams), pause(crashDrainMs)]);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  try {
    const code = await main(streams);
    await drained(streams);
    process.exit(code);
  } catch (error) {
    await crash(error);
  }
}

async function drained({ stdout, stderr }: Streams): Promise<void> {
  await Promise.all([stdout.drained(), stderr.drained()]);
}

/** Aborted at the first SIGTERM or SIGINT; the second ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Resolves once a signal has come. */
export function untilStopped(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
}
