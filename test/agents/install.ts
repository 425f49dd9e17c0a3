import { writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { cached } from '../cluster/cache.ts';
import { run } from '../cluster/run.ts';
import { pythonOf } from '../python/environment.ts';
import type { Agent } from './agents.ts';

/** Gives what starts a program of an agent's package, without its arguments. */
export type Launch = (program: string) => readonly [string, ...string[]];

/** Installs an agent if the cache does not have it; rejects where its registry does not. */
export async function installed(agent: Agent): Promise<Launch> {
  if ('pip' in agent.package) {
    const python = await pythonOf(join(import.meta.dirname, agent.package.pip));
    // Scripts of pip name the folder in which they were made, and the cache moves it.
    return (program) => [python, '-m', program];
  }
  const { npm } = agent.package;
  const folder = await cached({
    name: `agent-${agent.name.toLowerCase().replace(/\W+/g, '-')}`,
    inputs: [npm, platform(), arch()],
    duration: 'about half a minute',
    make: (empty) => install(npm, empty),
  });
  return (program) => [join(folder, 'node_modules', '.bin', program)];
}

async function install(npm: string, folder: string): Promise<void> {
  // Some agents fetch their binary when they are installed.
  const manifest = { private: true, allowScripts: { [npm.replace(/@[^@]+$/, '')]: true } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', npm], { folder });
}
