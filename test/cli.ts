import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The command line. */
export const entry: string = join(import.meta.dirname, '..', 'cli', 'keyforge.ts');

/** How a program ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Environment for a child: nothing but what programs need, and what the test gives. */
export function childEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { ...Object.fromEntries(kept), ...more };
}

/** Starts `keyforge ARGS` with a clean environment. */
export function spawnKeyforge(args: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, [entry, ...args], { env: childEnvironment(environment), stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs `keyforge ARGS` to its end. */
export async function runKeyforge(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return ended(spawnKeyforge(args, environment));
}

/** Collects a child's output until it ends. */
export async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

/** `keyforge up` in a process of its own. */
export interface Up {
  readonly proxyUrl: string;
  readonly adminUrl: string;
  readonly metricsUrl: string;
  /** Of the first key. */
  readonly token: string;
  tokenOf(name: string): string;
  readonly ended: Promise<Ended>;
  /** So far. */
  stderr(): string;
  /** Ends it and waits for that. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
}

/** Starts `keyforge up --json` on free ports; rejects with its output where it does not become ready. */
export async function startUp(manifests: string, dataDir: string, environment: Readonly<Record<string, string>>): Promise<Up> {
  const listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
  const child = spawnKeyforge(['up', '-f', manifests, '--data', dataDir, '--json', ...listen], environment);
  const end = ended(child);
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const first = child.stdout === null ? undefined : once(createInterface(child.stdout), 'line');
  const line = await Promise.race([first, end.then((result) => Promise.reject(new Error(`keyforge up ended: ${JSON.stringify(result)}`)))]);
  const ready = JSON.parse(String((line as string[])[0])) as {
    readonly proxy: string;
    readonly admin: string;
    readonly metrics: string;
    readonly keys: readonly { readonly name: string; readonly key: string }[];
  };
  return {
    proxyUrl: ready.proxy,
    adminUrl: ready.admin,
    metricsUrl: ready.metrics,
    token: ready.keys[0]?.key ?? '',
    tokenOf: (name) => ready.keys.find((key) => key.name === name)?.key ?? '',
    ended: end,
    stderr: () => stderr,
    kill(signal) {
      child.kill(signal);
      return end;
    },
  };
}
