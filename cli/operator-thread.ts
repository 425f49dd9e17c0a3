import { Worker } from 'node:worker_threads';
import type { FromOperator, IssuedKey, OperatorOptions, ToOperator } from '../operator/standalone/config.ts';

/** Why operator and proxy could not start: problems for people. */
export class StandaloneFailed extends Error {
  override readonly name = 'StandaloneFailed';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/** The operator in its thread. */
export interface OperatorThread {
  readonly adminUrl: string | null;
  /** Keys that have a token, as of the last manifests that were adopted. */
  keys(): readonly IssuedKey[];
  onReload(listener: (problems: readonly string[]) => void): () => void;
  /** Resolves when the thread ends without `stop`. */
  readonly failure: Promise<Error>;
  stop(): Promise<void>;
}

/** Starts the thread, without this process's environment; rejects with StandaloneFailed where the operator finds problems. */
export async function startOperator(options: OperatorOptions): Promise<OperatorThread> {
  const worker = new Worker(new URL('../operator/standalone/main.ts', import.meta.url), {
    name: 'operator',
    env: {},
    workerData: options,
    transferList: [options.control],
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const listeners = new Set<(problems: readonly string[]) => void>();
  let keys: readonly IssuedKey[] = [];
  let stopping = false;

  const failure = new Promise<Error>((resolve) => {
    worker.once('error', (error) => resolve(error instanceof Error ? error : new Error(String(error))));
    worker.once('exit', () => {
      if (!stopping) resolve(new Error('the operator thread ended'));
    });
  });
  const first = new Promise<Exclude<FromOperator, { kind: 'reloaded' }>>((resolve, reject) => {
    worker.on('message', (message: FromOperator) => {
      // An edit during the start is reported before the start is over.
      if (message.kind !== 'reloaded') resolve(message);
      if (message.kind === 'failed') return;
      keys = message.keys;
      if (message.kind === 'reloaded') for (const listener of [...listeners]) listener(message.problems);
    });
    void failure.then(reject);
  });

  const message = await first;
  if (message.kind === 'failed') {
    await exited;
    throw new StandaloneFailed(message.problems);
  }
  return {
    adminUrl: message.adminUrl,
    keys: () => keys,
    onReload(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    failure,
    async stop() {
      stopping = true;
      worker.postMessage({ kind: 'stop' } satisfies ToOperator);
      await exited;
    },
  };
}
