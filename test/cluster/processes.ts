import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process of the node, as root on it sees it; one that ends while it is looked at shows nothing. */
export interface NodeProcess {
  /** On this machine. */
  readonly pid: number;
  readonly arguments: readonly string[];
  /** `NAME=value` each, as the process was started with. */
  readonly environment: readonly string[];
  /** Set for a container's processes. */
  readonly containerId?: string;
}

/** All processes in the network namespace of the one given, and all that descend from them: containers have networks of their own. */
export function readProcesses(root: number): readonly NodeProcess[] {
  const parents = new Map<number, number>();
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    const parent = /^PPid:\s+(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1];
    if (parent !== undefined) parents.set(pid, Number(parent));
  }
  const node = networkOf(root);
  if (node === undefined) return [];
  const isOnNode = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) if (networkOf(at) === node) return true;
    return false;
  };
  return [...parents.keys()].filter(isOnNode).map((pid) => {
    const containerId = /\/([0-9a-f]{64})$/m.exec(read(`/proc/${pid}/cgroup`))?.[1];
    return {
      pid,
      arguments: words(read(`/proc/${pid}/cmdline`)),
      environment: words(read(`/proc/${pid}/environ`)),
      ...(containerId !== undefined && { containerId }),
    };
  });
}

function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function words(text: string): readonly string[] {
  return text.split('\0').filter((word) => word !== '');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
