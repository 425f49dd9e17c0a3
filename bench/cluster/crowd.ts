import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Heard, ProxiesPlan } from './proxies.ts';

/** Simulated proxies in processes of their own. */
export interface Crowd {
  /** When each of these proxies was first told so at or after `sinceMs`, in the order of `ids`; rejects where one never is. */
  told(state: 'open' | 'shut', ids: readonly number[], sinceMs: number): Promise<readonly number[]>;
  close(): void;
}

/** Milliseconds since 1970, with fractions: comparable between the processes of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

const longestMs = 120_000;

/** Starts the processes; proxies of a plan are shared among them. */
export function startCrowd(plan: ProxiesPlan, processes: number, folder: string): Crowd {
  const heard = new Map<number, Heard[]>();
  const children: ChildProcess[] = [];
  for (let index = 0; index < processes; index += 1) {
    const file = join(folder, `proxies-${index}.json`);
    const proxies = plan.proxies.filter((_, at) => at % processes === index);
    writeFileSync(file, JSON.stringify({ ...plan, proxies }), { mode: 0o600 });
    const child = spawn(process.execPath, [join(import.meta.dirname, 'proxies.ts'), file], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const each = JSON.parse(line) as Heard;
      const all = heard.get(each.id);
      if (all === undefined) heard.set(each.id, [each]);
      else all.push(each);
    });
    children.push(child);
  }
  const first = (id: number, state: 'open' | 'shut', sinceMs: number): number | undefined =>
    heard.get(id)?.find(({ atMs, open }) => atMs >= sinceMs && open > 0 === (state === 'open'))?.atMs;

  return {
    async told(state, ids, sinceMs) {
      for (const endMs = nowMs() + longestMs; nowMs() < endMs; await pause(20)) {
        const times = ids.flatMap((id) => first(id, state, sinceMs) ?? []);
        if (times.length === ids.length) return times;
      }
      const missing = ids.filter((id) => first(id, state, sinceMs) === undefined);
      throw new Error(`${missing.length} of ${ids.length} proxies were not told to be ${state}, the first is ${missing[0]}`);
    },
    close() {
      for (const child of children) child.kill('SIGKILL');
    },
  };
}
