import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { proxyImage } from './operator-world.ts';

const root = join(import.meta.dirname, '..', '..');

/** `keyforge operator` as a process of its own. */
export interface OperatorProcess {
  readonly port: number;
  readonly metricsUrl: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** Lines of its log, as JSON, so far. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** Resolves once the first policy is in force. */
  ready(): Promise<void>;
  /** By default with SIGTERM, and waits until it is gone; SIGKILL where that takes over a minute. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface OperatorArguments {
  readonly kubeconfig: string;
  readonly namespace: string;
  /** Default: a new one. */
  readonly dataDir?: string;
  readonly more?: readonly string[];
}

/** Starts the operator from the sources, on free ports; resolves when it listens. */
export async function startOperatorProcess({
  kubeconfig,
  namespace,
  dataDir = mkdtempSync(join(tmpdir(), 'keyforge-operator-')),
  more = [],
}: OperatorArguments): Promise<OperatorProcess> {
  const flags = [
    '--kubeconfig',
    kubeconfig,
    '--namespace',
    namespace,
    '--data',
    dataDir,
    '--listen',
    '127.0.0.1:0',
    '--admin-listen',
    '127.0.0.1:0',
    '--metrics-listen',
    '127.0.0.1:0',
  ];
  const program = ['--import', join(import.meta.dirname, 'die-with-parent.ts'), join(root, 'cli/keyforge.ts'), 'operator'];
  const child = spawn(process.execPath, [...program, ...flags, '--proxy-image', proxyImage, ...more], {
    stdio: ['pipe', 'inherit', 'pipe'],
  });
  const lines: Readonly<Record<string, unknown>>[] = [];
  let rest = '';
  child.stderr.on('data', (bytes: Buffer) => {
    const parts = `${rest}${bytes.toString()}`.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) lines.push(line.startsWith('{') ? JSON.parse(line) : { msg: line });
  });
  // A test that forgets to stop it still ends, and the operator with it.
  for (const held of [child, child.stdin as Socket, child.stderr as Socket]) held.unref();
  const exited = once(child, 'exit');
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (hasEnded()) return;
    child.ref();
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
    await exited;
    clearTimeout(late);
  };
  const find = async (msg: string, withinMs = 120_000): Promise<Readonly<Record<string, unknown>>> => {
    for (const endMs = performance.now() + withinMs; ; await pause(20)) {
      const line = lines.find((each) => each['msg'] === msg);
      if (line !== undefined) return line;
      if (!hasEnded() && performance.now() < endMs) continue;
      const how = hasEnded() ? `ended with ${child.exitCode ?? child.signalCode} and` : `within ${withinMs} ms`;
      const tail = lines.slice(-30).map((each) => JSON.stringify(each));
      throw new Error(`the operator ${how} did not say '${msg}'; its log ends with:\n${tail.join('\n')}`);
    }
  };
  const { port, metricsPort } = await find('listening').catch(async (error) => {
    await stop('SIGKILL');
    throw error;
  });
  return {
    port: Number(port),
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    dataDir,
    process: child,
    log: () => lines,
    ready: async () => void (await find('the first policy is in force')),
    stop,
  };
}
