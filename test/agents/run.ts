// `npm run test:agents`: real agents, one turn each, through `keyforge up` against a scripted provider.
// Outside `npm test` for its size: the agents are some hundred megabytes. Arguments choose agents by name, e.g. `-- codex`.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatUsd } from '../../core/money.ts';
import { readCalls } from '../../operator/store/recorded-calls.ts';
import { simulatedModels } from '../../simulator/models.ts';
import { startSimulation } from '../../simulator/provider.ts';
import type { SimulatedModel } from '../../simulator/types.ts';
import { childEnvironment, type Ended, ended, startUp } from '../cli.ts';
import { credentialValue, eventually } from '../harness.ts';
import { keyManifest, poolManifest } from '../manifests.ts';
import { type Agent, agents, prepare } from './agents.ts';

const answer = 'KEYFORGE-SCRIPTED-ANSWER-42';
const prompt = 'Reply with your scripted answer and nothing else.';
const installMs = 300_000;
const turnMs = 120_000;

/** Models that agents ask for besides the one they are given: routers, titles, summaries. */
const extraModels: readonly SimulatedModel[] = [
  ...['claude-haiku-4-5-20251001', 'claude-sonnet-4-6', 'claude-opus-4-8'].map((name) => like('claude-haiku-4-5', name)),
  ...['gemini-2.5-flash-lite', 'gemini-2.5-pro', 'gemini-3.5-flash', 'gemini-3.1-flash-lite'].map((name) => like('gemini-2.5-flash', name)),
];

function like(model: string, name: string): SimulatedModel {
  const found = simulatedModels.find((each) => each.name === model);
  if (found === undefined) throw new Error(`no simulated model ${model}`);
  return { ...found, name };
}

type Outcome = 'passed' | 'failed' | 'not installed';

/** Installs one agent; false where the registry does not have it. */
async function install(agent: Agent, folder: string): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  // Some agents fetch their binary when they are installed.
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, allowScripts: { [agent.install.replace(/@[^@]+$/, '')]: true } }),
  );
  const end = await bounded('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', agent.install], {
    cwd: folder,
    timeoutMs: installMs,
    environment: ownEnvironment(),
  });
  if (end.code !== 0) process.stdout.write(`${end.stderr.trim().split('\n').slice(-4).join('\n')}\n`);
  return end.code === 0;
}

/** All of ours: a registry, its certificates and proxies may be set there. */
function ownEnvironment(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

interface Bounds {
  readonly cwd: string;
  readonly timeoutMs: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A program with a deadline; whatever is left of its process group is ended with it. */
async function bounded(program: string, args: readonly string[], { cwd, timeoutMs, environment }: Bounds): Promise<Ended> {
  const child = spawn(program, args, { cwd, env: childEnvironment(environment), stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), timeoutMs);
  child.once('error', (error) => child.emit('close', 127, error.message));
  const end = await ended(child);
  clearTimeout(timer);
  return end;
}

/** One agent, one turn; prints what KeyForge recorded of it. */
async function tryAgent(agent: Agent, root: string): Promise<Outcome> {
  const folder = join(root, agent.name.toLowerCase().replace(/\W+/g, '-'));
  const installed = join(folder, 'installed');
  if (!(await install(agent, installed))) return 'not installed';
  const home = join(folder, 'home');
  const manifests = join(folder, 'manifests');
  for (const each of [home, manifests]) await mkdir(each, { recursive: true });
  const families = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' } as const;
  const names = Object.keys(families) as (keyof typeof families)[];
  const provider = await startSimulation({
    credentials: names.map((name) => credentialValue(name)),
    models: [...simulatedModels, ...extraModels],
    script: (asked) => (asked.schema === undefined ? { text: answer } : undefined),
  });
  for (const name of names)
    await writeFile(join(manifests, `${name}.yaml`), poolManifest({ name, provider: families[name], endpoint: provider.url }));
  await writeFile(join(manifests, 'bot.yaml'), keyManifest('bot', { limits: [{ window: 'Day', usd: '20.00' }] }));
  const secrets = Object.fromEntries(names.map((name) => [`KEYFORGE_SECRET_${name.toUpperCase()}_MAIN`, credentialValue(name)]));
  const dataDir = join(folder, 'data');
  const up = await startUp(manifests, dataDir, secrets);
  try {
    const start = await prepare(agent, { proxyUrl: up.proxyUrl, token: up.token, home, prompt });
    const end = await bounded(join(installed, 'node_modules', '.bin', start.program), start.args, {
      cwd: home,
      timeoutMs: turnMs,
      environment: { HOME: home, XDG_CONFIG_HOME: join(home, '.config'), NO_PROXY: '127.0.0.1,localhost', ...start.environment },
    });
    await eventually(() => (readCalls(dataDir).length > 0 ? true : undefined), 'a record', 2000).catch(() => undefined);
    for (const call of readCalls(dataDir)) {
      const tokens =
        call.usage === undefined
          ? ''
          : ` ${call.usage.input + call.usage.cachedInput} in, ${call.usage.output} out, $${formatUsd(Number(call.costNanoUsd))}`;
      process.stdout.write(`   ${call.endpoint} ${call.model ?? ''} ${call.status} ${call.code}${tokens}\n`);
    }
    const passed = end.stdout.includes(answer);
    if (!passed) process.stdout.write(`   exit ${end.code ?? end.signal}\n${end.stdout.slice(-1500)}\n${end.stderr.slice(-2500)}\n`);
    return passed ? 'passed' : 'failed';
  } finally {
    await up.kill('SIGKILL');
    await provider.close();
  }
}

const wanted = process.argv.slice(2).map((name) => name.toLowerCase());
const chosen = agents.filter(({ name }) => wanted.length === 0 || wanted.some((each) => name.toLowerCase().includes(each)));
const root = await mkdtemp(join(tmpdir(), 'keyforge-agents-'));
const outcomes: Outcome[] = [];
for (const agent of chosen) {
  process.stdout.write(`── ${agent.name} (${agent.install})\n`);
  const outcome = await tryAgent(agent, root).catch((error: unknown) => {
    process.stdout.write(`   ${String(error)}\n`);
    return 'failed' as const;
  });
  outcomes.push(outcome);
  process.stdout.write(`── ${agent.name}: ${outcome}\n\n`);
}
await rm(root, { recursive: true, force: true });
const count = (outcome: Outcome): number => outcomes.filter((each) => each === outcome).length;
process.stdout.write(`${count('passed')} passed, ${count('failed')} failed, ${count('not installed')} not installed\n`);
process.exitCode = count('failed') > 0 ? 1 : 0;
