import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from './cache.ts';
import { startProcess } from './component.ts';
import { exists } from './folder.ts';
import { run } from './run.ts';

/** A network, mount and process namespace of its own, joined to this machine by one pair of interfaces. */
export interface NodeNamespaces {
  /** The test's end. */
  readonly hostAddress: string;
  /** The node's end. */
  readonly nodeAddress: string;
  /** CIDR, routed from here. */
  readonly podRange: string;
  /** CIDR, routed from here. */
  readonly serviceRange: string;
  /** Id of the first process in them. */
  readonly pid: number;
  /** The command line that runs a program in them. */
  enter(command: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Ends every process in them; the kernel takes away mounts, interfaces, rules and routes. */
  close(): Promise<void>;
}

/** Makes them; `folder` is for the few files that their preparation needs. */
export async function createNamespaces(folder: string, logsFolder: string): Promise<NodeNamespaces> {
  const flags = ['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];
  const script = join(import.meta.dirname, 'node.sh');
  await mkdir(logsFolder, { recursive: true });
  const holder = await startProcess('unshare', [...flags, 'sh', script, folder, cacheRoot()], join(logsFolder, 'node.log'));
  try {
    await holder.until(() => exists(join(folder, 'prepared')));
    const pid = Number((await readFile(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8')).trim());
    return { ...(await connect(pid)), pid, enter: (command, args) => enter(pid, command, args), close: holder.end };
  } catch (error) {
    await holder.end();
    throw error;
  }
}

/** Takes the first number that no other cluster on this machine has: the name of the interface decides. */
async function connect(pid: number): Promise<Pick<NodeNamespaces, 'hostAddress' | 'nodeAddress' | 'podRange' | 'serviceRange'>> {
  for (let number = 0; number < 256; number++) {
    const [outside, inside] = [`keyforge${number}`, 'eth0'];
    if (await exists(`/sys/class/net/${outside}`)) continue;
    try {
      await run('ip', ['link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', String(pid)]);
    } catch (error) {
      if (String(error).includes('File exists')) continue;
      throw error;
    }
    // RFC 2544's range for benchmarks: the routes below are this whole machine's, and 10.96.0.10 may be its DNS.
    const [podRange, serviceRange] = [`198.19.${number}.0/24`, `198.18.${number}.0/25`];
    const [hostAddress, nodeAddress] = [`198.18.${number}.129`, `198.18.${number}.130`];
    await run('ip', ['address', 'add', `${hostAddress}/30`, 'dev', outside]);
    await run('ip', ['link', 'set', outside, 'up']);
    // Services are answered by the node's own rules; the route only gets a packet as far as them.
    const setup = `ip address add ${nodeAddress}/30 dev ${inside}; ip link set ${inside} up; ip route add ${serviceRange} via ${hostAddress}`;
    await run(...enter(pid, 'sh', ['-ec', setup]));
    for (const range of [podRange, serviceRange]) await run('ip', ['route', 'add', range, 'via', nodeAddress]);
    return { hostAddress, nodeAddress, podRange, serviceRange };
  }
  throw new Error('interfaces keyforge0 to keyforge255 are all taken');
}

function enter(pid: number, command: string, args: readonly string[]): [string, readonly string[]] {
  return ['nsenter', ['--target', String(pid), '--net', '--mount', '--pid', '--', command, ...args]];
}
