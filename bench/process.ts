import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A child process pinned to one core where `taskset` is there, with what it printed first. */
export interface Pinned {
  readonly child: ChildProcess;
  readonly firstLine: string;
  /** From spawn to that line. */
  readonly startMs: number;
  stop(): Promise<void>;
}

/** Starts a program on a core and waits for its first line on stdout. */
export function startPinned(core: number, command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Pinned> {
  const startedAt = performance.now();
  const child = spawn('taskset', ['-c', String(core), ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code} before it was ready`)));
    createInterface({ input: child.stdout ?? process.stdin }).once('line', (firstLine) => {
      const startMs = performance.now() - startedAt;
      child.removeAllListeners('exit');
      child.stdout?.resume();
      const stop = (): Promise<void> =>
        new Promise((done) => {
          child.once('exit', () => done());
          child.kill('SIGTERM');
        });
      resolve({ child, firstLine, startMs, stop });
    });
  });
}

/** The thread of standalone that holds the operator; in a cluster that is another process. */
const operatorThread = 'operator';

/** User + system CPU seconds of a process: its operator's thread, and all the others (Linux: /proc). */
export function cpuSeconds(pid: number): { readonly proxy: number; readonly operator: number } {
  const sum = { proxy: 0, operator: 0 };
  for (const { name, seconds } of threads(pid)) sum[name === operatorThread ? 'operator' : 'proxy'] += seconds;
  return sum;
}

/** Moves the operator's thread to another core than the rest of its process has. */
export function pinOperator(pid: number, core: number): void {
  for (const { id, name } of threads(pid))
    if (name === operatorThread) execFileSync('taskset', ['-cp', String(core), id], { stdio: 'ignore' });
}

function threads(pid: number): readonly { readonly id: string; readonly name: string; readonly seconds: number }[] {
  return readdirSync(`/proc/${pid}/task`).map((id) => {
    const [, name = '', rest = ''] = /\((.*)\) (.*)/.exec(readFileSync(`/proc/${pid}/task/${id}/stat`, 'latin1')) ?? [];
    const fields = rest.split(' ');
    return { id, name, seconds: (Number(fields[11]) + Number(fields[12])) / 100 };
  });
}

/** Proportional set size in MB (Linux: /proc). */
export function memoryMb(pid: number): number {
  const match = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
  return Number(match?.[1] ?? 0) / 1024;
}

/** Open file descriptors. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The middle of the values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
