import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { KubernetesComponent } from './build.ts';

/** A running process of the cluster. */
export interface Component {
  readonly pid: number;
  /** Rejects with the end of its log where it has ended or `ready` has not come true in time. */
  until(ready: () => Promise<boolean>, timeoutMs?: number): Promise<void>;
  /** Ends it at once, as a crash would, and waits until it is gone. */
  kill(): Promise<void>;
  /** Closes its standard input, and waits until it is gone. */
  end(): Promise<void>;
}

/** What to start; `flags` are written as `--name=value`. */
export interface ComponentOptions {
  readonly binFolder: string;
  readonly logsFolder: string;
  readonly name: KubernetesComponent;
  readonly flags: Readonly<Record<string, string | number | boolean>>;
}

/** Starts a Kubernetes component whose output goes to `<name>.log`. */
export function startComponent(options: ComponentOptions): Promise<Component> {
  const args = Object.entries(options.flags).map(([name, value]) => `--${name}=${value}`);
  return startProcess(join(options.binFolder, options.name), args, join(options.logsFolder, `${options.name}.log`));
}

/**
 * Starts a program whose standard input is a pipe held by this process. The programs started here end when that pipe does:
 * so none outlives the test, not even one that was ended by SIGKILL.
 */
export async function startProcess(command: string, args: readonly string[], logPath: string): Promise<Component> {
  const log = await open(logPath, 'a');
  const child = spawn(command, args, { stdio: ['pipe', log.fd, log.fd], env: { ...process.env, EXIT_WITH_STDIN: '1' } });
  await once(child, 'spawn');
  await log.close();
  // A pipe whose reader has died: the exit below tells all that there is to know.
  child.stdin?.on('error', () => undefined);
  // A test that forgets to close still ends, and everything with it.
  child.unref();
  (child.stdin as Socket | null)?.unref();
  let ended = false;
  const exited = once(child, 'exit').then(() => {
    ended = true;
  });
  return {
    pid: child.pid ?? 0,
    until: async (ready, timeoutMs = 60_000) => {
      for (const deadline = performance.now() + timeoutMs; !(await ready()); await pause(20)) {
        if (!ended && performance.now() < deadline) continue;
        const tail = (await readFile(logPath, 'utf8')).slice(-3000);
        throw new Error(`${command} ${ended ? 'has ended' : `was not ready in ${timeoutMs} ms`}; its log ends with:\n${tail}`);
      }
    },
    kill: async () => {
      child.ref();
      if (!ended) child.kill('SIGKILL');
      await exited;
    },
    end: async () => {
      child.ref();
      child.stdin?.end();
      await exited;
    },
  };
}
