// `npm run test:python`: Python clients with their own defaults, through `keyforge up` with the quick start's manifests.
// Outside `npm test` for its size: the packages are some hundred megabytes. Arguments choose files by name, e.g. `-- litellm`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatUsd } from '../../core/money.ts';
import { childEnvironment } from '../cli.ts';
import { pythonOf, Unavailable } from './environment.ts';
import { type PythonWorld, startPythonWorld } from './world.ts';

const fileMs = 300_000;

/** Instructor cannot be installed with the newest SDK of OpenAI, so it has an environment of its own. */
function requirementsOf(file: string): string {
  return file === 'test_instructor.py' ? 'requirements-instructor.txt' : 'requirements.txt';
}

/** Runs one file with unittest; true where it passed. Prints what KeyForge recorded of it where it did not. */
async function runFile(file: string, python: string, world: PythonWorld): Promise<boolean> {
  const child = spawn(python, ['-W', 'ignore', '-m', 'unittest', '-v', file], {
    cwd: import.meta.dirname,
    env: childEnvironment({ ...world.environment, PYTHONPYCACHEPREFIX: join(dirname(python), '..', 'bytecode') }),
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: fileMs,
    killSignal: 'SIGKILL',
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const calls = world.news();
  if (code === 0) return true;
  for (const { endpoint, model, status, code: outcome, costNanoUsd } of calls)
    process.stdout.write(`   ${endpoint} ${model ?? ''} ${status} ${outcome} $${formatUsd(Number(costNanoUsd))}\n`);
  return false;
}

async function main(wanted: readonly string[]): Promise<number> {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.startsWith('test_') && name.endsWith('.py')).sort();
  const chosen = files.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  if (chosen.length === 0) throw new Error(`no file of ${files.join(', ')} is named ${wanted.join(' or ')}`);
  const pythons = new Map<string, string>();
  for (const requirements of new Set(chosen.map(requirementsOf)))
    pythons.set(requirements, await pythonOf(join(import.meta.dirname, requirements)));
  const world = await startPythonWorld();
  const failed: string[] = [];
  for (const file of chosen) {
    process.stdout.write(`── ${file}\n`);
    if (!(await runFile(file, pythons.get(requirementsOf(file)) ?? '', world))) failed.push(file);
  }
  const difference = await world.close();
  process.stdout.write(`── ${difference ?? 'the provider’s bill and KeyForge’s records agree to the nano-dollar'}\n`);
  process.stdout.write(
    `${chosen.length - failed.length} of ${chosen.length} files passed${failed.map((file) => `, ${file} failed`).join('')}\n`,
  );
  return failed.length === 0 && difference === undefined ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof Unavailable)) throw error;
  process.stdout.write(`SKIPPED, no Python client was tested: ${error.message}\n`);
  return 0;
});
