import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const root = join(import.meta.dirname, '..', '..');

/** `keyforge operator` as a process of its own. */
export interface OperatorProcess {
  readonly port: number;
  readonly metricsUrl: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** Lines of its log, as JSON, so far. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** Resolves once policy is served. */
  ready(): Promise<void>;
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
  const child = spawn(process.execPath, [...program, ...flags, '--proxy-image', 'keyforge.dev/keyforge-proxy:test', ...more], {
    stdio: ['pipe', 'inherit', 'pipe'],
  });
  const lines: Readonly<Record<string, unknown>>[] = [];
  let rest = '';
  child.stderr.on('data', (bytes: Buffer) => {
    const parts = `${rest}${bytes.toString()}`.split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) lines.push(line.startsWith('{') ? JSON.parse(line) : { msg: line });
  });
  const exited = once(child, 'exit');
  const find = async (msg: string): Promise<Readonly<Record<string, unknown>>> => {
    for (;;) {
      const line = lines.find((each) => each['msg'] === msg);
      if (line !== undefined) return line;
      if (child.exitCode !== null) throw new Error(`the operator ended: ${lines.map((each) => JSON.stringify(each)).join('\n')}`);
      await pause(20);
    }
  };
  const { port, metricsPort } = await find('listening');
  return {
    port: Number(port),
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    dataDir,
    process: child,
    log: () => lines,
    ready: async () => void (await find('policy is served')),
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await exited;
    },
  };
}
