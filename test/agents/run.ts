// `npm run test:agents`: real agents through `keyforge up` against a scripted provider, with nothing else to reach. Each way of
// docs/agents.md is one turn, with a tool call where the agent has tools; then comes its command with the injected variables alone.
// Outside `npm test` for its size: the agents are some hundred megabytes. Arguments choose agents by name, e.g. `-- codex`.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sdkVariables, urlVariables } from '../../core/base-urls.ts';
import { formatUsd } from '../../core/money.ts';
import { childEnvironment, type Ended, ended } from '../cli.ts';
import { Elsewhere, type Stray } from '../elsewhere.ts';
import { type Agent, agents, prepare } from './agents.ts';
import { installed, type Launch } from './install.ts';
import { placeholders, type Recipe, readAlone, readRecipes } from './page.ts';
import { type AgentWorld, answer, note, startAgentWorld } from './world.ts';

const prompt = 'Read note.txt with your tool, then reply.';
const turnMs = 120_000;

type Outcome = 'passed' | 'failed' | 'not installed';

/** What a turn runs in. */
interface Stage {
  readonly world: AgentWorld;
  readonly elsewhere: Elsewhere;
  readonly launch: Launch;
  readonly home: string;
}

/** One turn and what is to come of it. */
interface Turn {
  readonly title: string;
  readonly recipe: Recipe;
  readonly answers: boolean;
  readonly leaks: boolean;
  readonly hosts: readonly string[];
}

/** The turns that docs/agents.md has for an agent. */
function turnsOf({ name }: Agent): readonly Turn[] {
  const alone = readAlone().get(name);
  if (alone === undefined) throw new Error(`docs/agents.md has no row for ${name} in its table`);
  const recipes = readRecipes().get(name) ?? [];
  const variables = Object.fromEntries(
    sdkVariables.flatMap((each) => [
      ...urlVariables(each, placeholders.origin),
      ...each.keys.map((key) => [key, placeholders.token]),
      ...each.also.map((other) => [other.name, other.value]),
    ]),
  );
  return [
    ...recipes.map((recipe) => ({ title: recipe.command.join(' '), recipe, answers: true, leaks: false, hosts: alone.hosts })),
    {
      title: `variables alone: ${alone.command.join(' ')}`,
      recipe: { files: new Map(), variables, command: alone.command },
      answers: alone.answers,
      leaks: alone.leaks,
      hosts: alone.hosts,
    },
  ];
}

/** Runs a turn and prints what KeyForge recorded of it; gives what is wrong, empty where nothing is. */
async function runTurn(turn: Turn, { world, elsewhere, launch, home }: Stage): Promise<readonly string[]> {
  process.stdout.write(`   ${turn.title}\n`);
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'note.txt'), `${note}\n`);
  const start = await prepare(turn.recipe, { proxyUrl: world.proxyUrl, token: world.token, home, prompt });
  const environment = { HOME: home, XDG_CONFIG_HOME: join(home, '.config'), ...elsewhere.environment, ...start.environment };
  const end = await bounded([...launch(start.program), ...start.args], environment);
  for (const call of await world.news()) {
    const usage = call.usage === undefined ? '' : ` ${call.usage.input + call.usage.cachedInput} in, ${call.usage.output} out`;
    process.stdout.write(
      `      ${call.endpoint} ${call.model ?? ''} ${call.status} ${call.code}${usage} $${formatUsd(Number(call.costNanoUsd))}\n`,
    );
  }
  const strays = elsewhere.news();
  const wrong = judge(turn, end, strays);
  if (wrong.length > 0) process.stdout.write(`   exit ${end.code ?? end.signal}\n${end.stdout.slice(-1500)}\n${end.stderr.slice(-2500)}\n`);
  return wrong;
}

/** What a turn did otherwise than the page says. */
function judge(turn: Turn, { stdout }: Ended, strays: readonly Stray[]): readonly string[] {
  const hosts = [...new Set(strays.map(({ host }) => host))].sort();
  if (hosts.length > 0) process.stdout.write(`      also asked: ${hosts.join(', ')}\n`);
  const leaks = strays.filter(({ carriesKey }) => carriesKey);
  return [
    ...(stdout.includes(answer) === turn.answers
      ? []
      : [turn.answers ? 'the answer is not in its output' : 'it answers, unlike on the page']),
    ...hosts.filter((host) => !turn.hosts.includes(host)).map((host) => `the page does not say that it asks ${host}`),
    ...(turn.leaks ? [] : leaks.map(({ host }) => `it sends the key to ${host}`)),
    ...(turn.leaks && leaks.length === 0 ? ['it sends the key nowhere, unlike on the page'] : []),
  ];
}

/** A program with a deadline; whatever is left of its process group is ended with it. */
async function bounded([program = '', ...args]: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ended> {
  const cwd = environment['HOME'];
  const child = spawn(program, args, { cwd, env: childEnvironment(environment), stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), turnMs);
  child.once('error', (error) => child.emit('close', 127, error.message));
  const end = await ended(child);
  clearTimeout(timer);
  return end;
}

/** All turns of one agent. */
async function tryAgent(agent: Agent, root: string): Promise<Outcome> {
  const launch = await installed(agent).catch((error: Error) => {
    process.stdout.write(`   ${error.message.trim().split('\n').slice(-4).join('\n')}\n`);
  });
  if (launch === undefined) return 'not installed';
  const folder = await mkdtemp(join(root, 'agent-'));
  let home = '';
  await using world = await startAgentWorld(agent, folder, () => join(home, 'note.txt'));
  await using elsewhere = await Elsewhere.start(world.token);
  const wrong: string[] = [];
  for (const [index, turn] of turnsOf(agent).entries()) {
    home = join(folder, `home-${index}`);
    wrong.push(...(await runTurn(turn, { world, elsewhere, launch, home })).map((problem) => `${turn.title}: ${problem}`));
  }
  for (const problem of wrong) process.stdout.write(`   ${problem}\n`);
  return wrong.length === 0 ? 'passed' : 'failed';
}

const wanted = process.argv.slice(2).map((name) => name.toLowerCase());
const chosen = agents.filter(({ name }) => wanted.length === 0 || wanted.some((each) => name.toLowerCase().includes(each)));
const root = await mkdtemp(join(tmpdir(), 'keyforge-agents-'));
const outcomes: Outcome[] = [];
for (const agent of chosen) {
  process.stdout.write(`── ${agent.name} (${Object.values(agent.package).join('')})\n`);
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
