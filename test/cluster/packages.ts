import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cached } from './cache.ts';
import { run } from './run.ts';

// containerd, runc and what kube-proxy writes its rules with, nft, including the libraries that a minimal system lacks.
const names = [
  'containerd',
  'runc',
  'containernetworking-plugins',
  'nftables',
  'libnftables1',
  'libnftnl11',
  'libjansson4',
  'libedit2',
  'libbsd0',
  'libmnl0',
] as const;

/** Programs of a node, unpacked from Debian's packages; nothing is installed. */
export interface NodePackages {
  /** Folders with `containerd`, `ctr`, `runc` and `nft`. */
  readonly binFolders: readonly string[];
  readonly runc: string;
  /** With `ptp`, `host-local` and `loopback`. */
  readonly cniFolder: string;
  /** For LD_LIBRARY_PATH of what runs `nft`. */
  readonly libraryFolder: string;
}

/** Downloads them once, checked by apt's own signatures. */
export async function nodePackages(): Promise<NodePackages> {
  const system = await run('dpkg', ['--print-architecture']);
  const release = await run('sh', ['-c', '. /etc/os-release; echo "$ID $VERSION_ID"']);
  const folder = await cached({ name: 'node', inputs: [...names, system, release], duration: 'some seconds', make: download });
  const libraries = (await readdir(join(folder, 'usr', 'lib'))).find((name) => name.endsWith('-linux-gnu'));
  return {
    binFolders: [join(folder, 'usr', 'bin'), join(folder, 'usr', 'sbin')],
    runc: join(folder, 'usr', 'sbin', 'runc'),
    cniFolder: join(folder, 'usr', 'lib', 'cni'),
    libraryFolder: join(folder, 'usr', 'lib', libraries ?? ''),
  };
}

/** For `env`: its programs first, with their libraries. */
export function nodeEnvironment({ binFolders, libraryFolder }: NodePackages): readonly string[] {
  return [`PATH=${[...binFolders, process.env['PATH'] ?? ''].join(delimiter)}`, `LD_LIBRARY_PATH=${libraryFolder}`];
}

async function download(folder: string): Promise<void> {
  // The sandbox user of apt may not write into this folder; root does, and the signatures are checked all the same.
  const fetch = (): Promise<string> => run('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', ...names], { folder });
  try {
    await fetch();
  } catch {
    // A fresh container image has no package lists, and old ones name packages that are gone.
    await run('apt-get', ['update']);
    await fetch();
  }
  for (const file of await readdir(folder)) await run('dpkg', ['-x', file, '.'], { folder });
  await run('sh', ['-c', 'rm ./*.deb'], { folder });
}
