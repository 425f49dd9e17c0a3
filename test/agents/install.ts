import { writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { cached } from '../cluster/cache.ts';
import { run } from '../cluster/run.ts';
import { pythonOf } from '../python/environment.ts';
import type { Agent } from './agents.ts';

/** The folder of an agent's programs, installed now if the cache does not have it; rejects where its registry does not. */
export async function programsOf(agent: Agent): Promise<string> {
  if ('pip' in agent.package) return join(await pythonOf(join(import.meta.dirname, agent.package.pip)), '..');
  const { npm } = agent.package;
  const folder = await cached({
    name: `agent-${agent.name.toLowerCase().replace(/\W+/g, '-')}`,
    inputs: [npm, platform(), arch()],
    duration: 'about half a minute',
    make: (empty) => install(npm, empty),
  });
  return join(folder, 'node_modules', '.bin');
}

async function install(npm: string, folder: string): Promise<void> {
  // Some agents fetch their binary when they are installed.
  const manifest = { private: true, allowScripts: { [npm.replace(/@[^@]+$/, '')]: true } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
  await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', npm], { folder });
}
