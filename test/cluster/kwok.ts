// KWOK for benches: a kubelet for nodes that do not exist. As a script: builds it ahead of them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goBuild } from './build.ts';
import { cached } from './cache.ts';
import { run } from './run.ts';

const folder = join(import.meta.dirname, 'go', 'kwok');

/** The file that tells KWOK what becomes of nodes and Pods. Images have the digest `sha256:` and 64 times `a`. */
export const kwokStages: string = join(folder, 'stages.yaml');

/** The path of KWOK, built from source where this machine has not yet. */
export async function kwokBinary(): Promise<string> {
  const files = ['go.mod', 'go.sum'].map((file) => readFileSync(join(folder, file), 'utf8'));
  const flags = ['-mod=readonly', '-ldflags', '-s -w'];
  const goVersion = (await run('go', ['version'], { folder })).trim();
  const built = await cached({
    name: 'kwok',
    inputs: [...files, ...flags, goVersion],
    duration: 'about two minutes on two cores',
    make: (into) => goBuild(folder, into, [...flags, '-o', join(into, 'kwok'), 'sigs.k8s.io/kwok/cmd/kwok']),
  });
  return join(built, 'kwok');
}

if (import.meta.main) await kwokBinary();
