import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

/** How a command is run; by default here and with this process' environment. */
export interface RunOptions {
  readonly folder?: string;
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** It is killed when it takes longer. Default: ten minutes. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end and gives what it wrote to stdout; rejects with what it wrote to stderr where it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    timeout: options.timeoutMs ?? 600_000,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
    ...(options.folder !== undefined && { cwd: options.folder }),
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit === null ? `ended by ${signal}` : `exit ${exit}`));
  });
  const [stdout, stderr, end] = await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable), ended]);
  if (end !== 'exit 0') throw new Error(`${command} ${args.join(' ')}: ${end}: ${`${stdout}\n${stderr}`.trim().slice(-2000)}`);
  return stdout;
}
