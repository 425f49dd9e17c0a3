import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goBuild } from './build.ts';
import { cached } from './cache.ts';
import { run } from './run.ts';

const folder = join(import.meta.dirname, 'go', 'helm');

/** The path of Helm, built from source where this machine has not yet. */
export async function helmBinary(): Promise<string> {
  const files = ['go.mod', 'go.sum'].map((file) => readFileSync(join(folder, file), 'utf8'));
  const flags = ['-mod=readonly', '-ldflags', '-s -w'];
  const goVersion = (await run('go', ['version'], { folder })).trim();
  const built = await cached({
    name: 'helm',
    inputs: [...files, ...flags, goVersion],
    duration: 'about two minutes on two cores',
    make: (into) => goBuild(folder, into, [...flags, '-o', join(into, 'helm'), 'helm.sh/helm/v4/cmd/helm']),
  });
  return join(built, 'helm');
}
