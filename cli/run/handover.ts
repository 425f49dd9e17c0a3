import { randomBytes } from 'node:crypto';
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../config.ts';
import type { RunManifests } from './manifests.ts';

/** Where the second process finds what the first handed over; set between the two only. */
const handoverVariable = 'KEYFORGE_RUN_HANDOVER';

/** What a run knows once no environment shows it any more. */
export interface Handover {
  readonly manifests: RunManifests;
  /** Without credentials. */
  readonly environment: Environment;
}

/** Replaces this process by another program; as `process.execve`. */
export type Execve = (file: string, args: readonly string[], environment: Environment) => never;

/** How this process was started. */
interface Self {
  readonly execPath: string;
  /** Flags of Node, the script, its arguments. */
  readonly args: readonly string[];
  /** Absent where the system has no such call (Windows). */
  readonly execve: Execve | undefined;
}

/**
 * Replaces this process by one whose environment has no credential, because /proc/PID/environ shows for ever what a
 * process was started with. It leaves what it knows in a file of mode 0600, in memory (/dev/shm) where that exists.
 * Returns only where the system cannot do it.
 */
export function handOver(handover: Handover, self: Self): void {
  if (self.execve === undefined) return;
  const file = leave(handover);
  self.execve(self.execPath, [self.execPath, ...self.args], { ...handover.environment, [handoverVariable]: file });
}

/** In the second process: reads the file and removes it; undefined in the first. */
export function receiveHandover(environment: Environment): Handover | undefined {
  const path = environment[handoverVariable];
  if (path === undefined) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Handover;
  } finally {
    unlinkSync(path);
  }
}

function leave(handover: Handover): string {
  const name = `keyforge-run-${randomBytes(16).toString('hex')}`;
  for (const folder of ['/dev/shm', tmpdir()]) {
    const path = join(folder, name);
    try {
      writeFileSync(path, JSON.stringify(handover), { mode: 0o600, flag: 'wx' });
      return path;
    } catch {
      // No such folder, or not writable: the next one.
    }
  }
  throw new Error(`no folder to hand the credentials over in: make ${tmpdir()} writable`);
}
