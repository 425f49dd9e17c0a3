import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundle, notices, type Program } from './bundle.ts';
import type { TarEntry } from './tar.ts';

const root = join(import.meta.dirname, '..', '..');

/** Users that the images run as; the injector gives the proxy the same. */
export const userOf: Readonly<Record<Program, number>> = { proxy: 64087, operator: 65532 };

/** The version that package.json names. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string }).version;
}

/** The Node that package-lock.json names, which images carry; what runs this is whatever the system has. */
export function pinnedNode(): string {
  const path = join(root, 'node_modules', 'node', 'bin', 'node');
  if (!existsSync(path)) throw new Error(`${path} is not there, the Node that images carry: run npm ci, with its install scripts`);
  return path;
}

/** Node itself with the libraries that it loads, and the little of /etc that they read. No shell, no package manager. */
export function runtimeFiles(nodeBinary: string): readonly TarEntry[] {
  const users = Object.entries(userOf).map(([name, id]) => ({ name: `keyforge-${name}`, id }));
  const passwd = ['root:x:0:0:root:/:/sbin/nologin', ...users.map(({ name, id }) => `${name}:x:${id}:${id}::/nonexistent:/sbin/nologin`)];
  const group = ['root:x:0:', ...users.map(({ name, id }) => `${name}:x:${id}:`)];
  const files = [
    file('usr/local/bin/node', readFileSync(realpathSync(nodeBinary)), 0o755),
    ...libraries(nodeBinary).map((path) => file(path.slice(1), readFileSync(realpathSync(path)), 0o755)),
    file('etc/passwd', Buffer.from(`${passwd.join('\n')}\n`)),
    file('etc/group', Buffer.from(`${group.join('\n')}\n`)),
    file('etc/nsswitch.conf', Buffer.from('hosts: files dns\n')),
  ];
  return [...files, ...folders(files), { path: 'tmp', mode: 0o1777, body: { kind: 'folder' } }];
}

/** The program, in one file; package.json says that it is a module, and its version. */
export async function programFiles(program: Program, version: string): Promise<readonly TarEntry[]> {
  const { code, packages } = await bundle(program);
  const about = { name: `keyforge-${program}`, version, type: 'module' };
  const files = [
    file('app/cli/keyforge.js', code),
    file('app/package.json', Buffer.from(`${JSON.stringify(about)}\n`)),
    file('app/LICENSES.txt', notices(packages)),
  ];
  return [...files, ...folders(files)];
}

/** Absolute paths of the shared libraries and of the loader, as the binary names them. */
function libraries(binary: string): readonly string[] {
  const listed = execFileSync('ldd', [binary], { encoding: 'utf8', env: { LC_ALL: 'C' } });
  return listed.split('\n').flatMap((line) => /(?:=> |^\s+)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

function file(path: string, data: Buffer, mode = 0o644): TarEntry {
  return { path, mode, body: { kind: 'file', data } };
}

function folders(files: readonly TarEntry[]): readonly TarEntry[] {
  const paths = new Set<string>();
  for (const { path } of files) for (let at = dirname(path); at !== '.'; at = dirname(at)) paths.add(at);
  return [...paths].map((path) => ({ path, mode: 0o755, body: { kind: 'folder' } }));
}
