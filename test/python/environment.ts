import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { cached } from '../cluster/cache.ts';
import { run } from '../cluster/run.ts';

/** Why there is no environment here, for people: nothing is wrong with the tests. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** Python of a virtual environment with the pinned packages of a requirements file, given by its path; made once, kept in the cache. */
export async function pythonOf(requirements: string): Promise<string> {
  const { command, version } = await findPython();
  const folder = await cached({
    name: `python-${basename(requirements, '.txt')}`,
    inputs: [await readFile(requirements, 'utf8'), version],
    duration: 'about two minutes',
    make: (empty) => makeEnvironment(command, empty, requirements),
  });
  return join(folder, 'bin', 'python');
}

/** The first Python that is new enough for the pinned packages, and can make environments. */
async function findPython(): Promise<{ readonly command: string; readonly version: string }> {
  const probe = 'import ensurepip, sys, sysconfig, venv; assert sys.version_info >= (3, 11); print(sys.version, sysconfig.get_platform())';
  for (const command of ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python']) {
    const version = await run(command, ['-c', probe]).catch(() => undefined);
    if (version !== undefined) return { command, version };
  }
  throw new Unavailable('there is no Python 3.11 or newer with venv and pip');
}

async function makeEnvironment(command: string, folder: string, requirements: string): Promise<void> {
  await run(command, ['-m', 'venv', folder]);
  const python = join(folder, 'bin', 'python');
  const pip = ['-m', 'pip', '--disable-pip-version-check'];
  const install = [...pip, 'install', '--quiet', '--no-compile', '-r', requirements];
  try {
    await run(python, install);
  } catch (error) {
    const hasIndex = await run(python, [...pip, 'index', 'versions', 'pip']).then(
      () => true,
      () => false,
    );
    if (!hasIndex) throw new Unavailable('pip reaches no package index');
    throw error;
  }
}
