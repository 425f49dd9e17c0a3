// Real Kubernetes and the small parts around it, built from source once.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type CacheEntry, cached } from './cache.ts';
import { run } from './run.ts';

const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet'] as const;

/** A program of the control plane or the node. */
export type KubernetesComponent = (typeof components)[number];

const moduleFolder = join(import.meta.dirname, 'go', 'kubernetes');
const pauseSource = join(import.meta.dirname, 'go', 'pause', 'main.go');

/** Whether this machine can build and start a control plane; if not, why, for the reason of a skipped test. */
export function canRunControlPlane(): { readonly ok: true } | { readonly ok: false; readonly why: string } {
  try {
    if (Number(/go1\.(\d+)/.exec(goVersion())?.[1]) >= 26) return { ok: true };
  } catch {
    // There is no Go, or it is too old to fetch the version that it is asked for.
  }
  return { ok: false, why: 'Kubernetes is built from source for this: install Go 1.26 or newer' };
}

/** The folder that holds `etcd`, `kube-apiserver` and the other components; builds them where this machine has not yet. */
export function buildKubernetes(): Promise<string> {
  return cached(kubernetesEntry());
}

/** The path of a static program that waits for SIGTERM: what holds a pod's namespaces. */
export async function buildPause(): Promise<string> {
  const source = readFileSync(pauseSource, 'utf8');
  const folder = await cached({
    name: 'pause',
    inputs: [source, goVersion()],
    duration: 'some seconds',
    make: (into) => goBuild(moduleFolder, into, ['-o', join(into, 'pause'), pauseSource]),
  });
  return join(folder, 'pause');
}

function kubernetesEntry(): CacheEntry {
  const files = ['go.mod', 'go.sum', 'main.go'].map((file) => readFileSync(join(moduleFolder, file), 'utf8'));
  const flags = ['-mod=readonly', '-ldflags', linkerFlags(files[0] ?? '')];
  return {
    name: 'kubernetes',
    inputs: [...files, ...flags, goVersion()],
    duration: 'about six minutes on two cores',
    make: async (folder) => {
      await goBuild(moduleFolder, folder, [...flags, '-o', join(folder, 'kubernetes'), '.']);
      for (const component of components) await symlink('kubernetes', join(folder, component));
    },
  };
}

/** Without these the server reports itself as v0.0.0-master, which client libraries cannot parse. */
function linkerFlags(goModule: string): string {
  const version = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(goModule);
  if (version === null) throw new Error('go.mod of test/cluster/go/kubernetes requires no k8s.io/kubernetes');
  const values = {
    gitVersion: version[1],
    gitMajor: version[2],
    gitMinor: version[3],
    gitTreeState: 'clean',
    gitCommit: 'keyforge',
    buildDate: '2026-01-01T00:00:00Z',
  };
  return ['-s -w', ...Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)].join(' ');
}

/** `go build` in a module's folder. Its build cache, 4 GB for Kubernetes, is beside what it makes, and gone afterwards. */
export async function goBuild(folder: string, into: string, args: readonly string[]): Promise<void> {
  const goCache = join(into, '.go');
  const environment = { CGO_ENABLED: '0', GOCACHE: goCache, GOFLAGS: '', GOWORK: 'off' };
  await run('go', ['build', '-buildvcs=false', '-trimpath', ...args], { folder, environment, timeoutMs: 3_600_000 });
  await rm(goCache, { recursive: true, force: true });
}

/** Of the toolchain that this module selects, with its platform. */
function goVersion(): string {
  return execFileSync('go', ['version'], { cwd: moduleFolder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
