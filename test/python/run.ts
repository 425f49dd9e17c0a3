// `npm run test:python`: Python clients with their own defaults, through `keyforge up` with the quick start's manifests,
// with the variables that docs/agents.md names and nothing else to reach.
// Outside `npm test` for its size: the packages are some hundred megabytes. Arguments choose files by name, e.g. `-- litellm`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatUsd } from '../../core/money.ts';
import { readRecipes, withRealValues } from '../agents/page.ts';
import { childEnvironment } from '../cli.ts';
import { Elsewhere } from '../elsewhere.ts';
import { pythonOf, Unavailable } from './environment.ts';
import { type PythonWorld, startPythonWorld } from './world.ts';

const fileMs = 300_000;

/** Clients that cannot be installed with the newest SDKs have an environment of their own. */
const requirements: Readonly<Record<string, string>> = {
  'test_crewai.py': 'requirements-crewai.txt',
  'test_instructor.py': 'requirements-instructor.txt',
  'test_llamaindex.py': 'requirements-llamaindex.txt',
};

function requirementsOf(file: string): string {
  return requirements[file] ?? 'requirements.txt';
}

/** Sections of docs/agents.md whose variables a file's client gets beside those of an injected container. */
const sections: Readonly<Record<string, string>> = {
  'test_crewai.py': 'CrewAI',
  'test_litellm.py': 'LiteLLM',
  'test_llamaindex.py': 'LlamaIndex',
};

function variablesOf(file: string, { proxyUrl, token }: PythonWorld): Readonly<Record<string, string>> {
  const section = sections[file];
  if (section === undefined) return {};
  const [recipe] = readRecipes().get(section) ?? [];
  if (recipe === undefined) throw new Error(`docs/agents.md has no variables for ${section}`);
  return withRealValues(recipe.variables, { proxyUrl, token });
}

/** What a file's client runs in. */
interface Stage {
  readonly python: string;
  readonly world: PythonWorld;
  readonly elsewhere: Elsewhere;
}

/** Runs one file with unittest; true where it passed and sent the key nowhere else. Prints what KeyForge recorded of it where it failed. */
async function runFile(file: string, { python, world, elsewhere }: Stage): Promise<boolean> {
  const child = spawn(python, ['-W', 'ignore', '-m', 'unittest', '-v', file], {
    cwd: import.meta.dirname,
    env: childEnvironment({
      ...world.environment,
      ...elsewhere.environment,
      ...variablesOf(file, world),
      PYTHONPYCACHEPREFIX: join(dirname(python), '..', 'bytecode'),
    }),
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: fileMs,
    killSignal: 'SIGKILL',
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const calls = world.news();
  const strays = elsewhere.news();
  const hosts = new Set(strays.map(({ host }) => host));
  const leaks = strays.filter(({ carriesKey }) => carriesKey);
  if (hosts.size > 0) process.stdout.write(`   also asked: ${[...hosts].join(', ')}\n`);
  for (const { host } of leaks) process.stdout.write(`   sends the key to ${host}\n`);
  if (code === 0 && leaks.length === 0) return true;
  for (const { endpoint, model, status, code: outcome, costNanoUsd } of calls)
    process.stdout.write(`   ${endpoint} ${model ?? ''} ${status} ${outcome} $${formatUsd(Number(costNanoUsd))}\n`);
  return false;
}

async function main(wanted: readonly string[]): Promise<number> {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.startsWith('test_') && name.endsWith('.py')).sort();
  const chosen = files.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  if (chosen.length === 0) throw new Error(`no file of ${files.join(', ')} is named ${wanted.join(' or ')}`);
  const pythons = new Map<string, string>();
  for (const each of new Set(chosen.map(requirementsOf))) pythons.set(each, await pythonOf(join(import.meta.dirname, each)));
  const world = await startPythonWorld();
  await using elsewhere = await Elsewhere.start(world.token);
  const failed: string[] = [];
  for (const file of chosen) {
    process.stdout.write(`── ${file}\n`);
    if (!(await runFile(file, { python: pythons.get(requirementsOf(file)) ?? '', world, elsewhere }))) failed.push(file);
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
