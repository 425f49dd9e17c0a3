import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Environment } from '../config.ts';

/** Passed on to CMD. From a terminal, the kernel sends Ctrl-C and Ctrl-\ to CMD itself: then those two are only outlived. */
const forwarded = ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGINT', 'SIGQUIT'] as const;

/** Runs CMD to its end on our own streams. Exit code as a shell has it: its own, 128+N for signal N, 126, 127. */
export function runCommand(
  command: readonly [string, ...string[]],
  environment: Environment,
  terminal: { readonly isTerminal: boolean; readonly complain: (message: string) => void },
): Promise<number> {
  const [file, ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: 'inherit', env: { ...environment } });
    const stopForwarding = forwardSignals(child, terminal.isTerminal);
    const end = (code: number): void => {
      stopForwarding();
      resolve(code);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      terminal.complain(error.code === 'ENOENT' ? `${file}: command not found` : `${file}: cannot be run (${error.code})`);
      end(error.code === 'ENOENT' ? 127 : 126);
    });
    child.once('exit', (code, signal) => end(signal === null ? (code ?? 0) : 128 + constants.signals[signal]));
  });
}

function forwardSignals(child: ChildProcess, isTerminal: boolean): () => void {
  const listeners = forwarded.map((signal) => {
    const listener = (): void => {
      if (!(isTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal);
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return () => {
    for (const stop of listeners) stop();
  };
}
