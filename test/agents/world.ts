import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallBody } from '../../core/audit/types.ts';
import { readCalls } from '../../operator/store/recorded-calls.ts';
import type { Conditions } from '../../simulator/faults.ts';
import { simulatedModels } from '../../simulator/models.ts';
import { startSimulation } from '../../simulator/provider.ts';
import type { Prompt, SimulatedModel } from '../../simulator/types.ts';
import { startUp } from '../cli.ts';
import { credentialValue, eventually } from '../harness.ts';
import { keyManifest, poolManifest } from '../manifests.ts';
import type { Agent } from './agents.ts';

/** What an agent prints at the end of its turn, if the turn went as planned. */
export const answer = 'KEYFORGE-SCRIPTED-ANSWER-42';
/** What the file says that an agent's tool reads. */
export const note = 'KEYFORGE-NOTE-7731';

/** Models that agents ask for besides the one they are given: their defaults, titles, summaries. */
const extraModels: readonly SimulatedModel[] = [
  ...['gpt-5.4-nano', 'gpt-6.1-sol'].map((name) => like('gpt-5.4-mini', name)),
  ...['claude-haiku-4-5-20251001', 'claude-opus-5-5'].map((name) => like('claude-haiku-4-5', name)),
  ...['gemini-2.5-flash-lite', 'gemini-3.8-flash'].map((name) => like('gemini-2.5-flash', name)),
];

function like(model: string, name: string): SimulatedModel {
  const found = simulatedModels.find((each) => each.name === model);
  if (found === undefined) throw new Error(`no simulated model ${model}`);
  return { ...found, name };
}

/** `keyforge up` before a provider with a script: the model first calls the agent's tool, and answers once it has seen the note. */
export interface AgentWorld extends AsyncDisposable {
  readonly proxyUrl: string;
  readonly token: string;
  /** Calls recorded since the last time. */
  news(): Promise<readonly CallBody[]>;
}

const families = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' } as const;

/** Starts both, with their data in `folder`. `noteFile` is what the tool is to read. */
export async function startAgentWorld(agent: Agent, folder: string, noteFile: () => string): Promise<AgentWorld> {
  const manifests = join(folder, 'manifests');
  const dataDir = join(folder, 'data');
  await mkdir(manifests, { recursive: true });
  const names = Object.keys(families) as (keyof typeof families)[];
  const provider = await startSimulation({
    credentials: names.map((name) => credentialValue(name)),
    models: [...simulatedModels, ...extraModels],
    script: (asked) => scripted(agent, asked, noteFile()),
  });
  for (const name of names)
    await writeFile(join(manifests, `${name}.yaml`), poolManifest({ name, provider: families[name], endpoint: provider.url }));
  await writeFile(join(manifests, 'bot.yaml'), keyManifest('bot', { limits: [{ window: 'Day', usd: '20.00' }] }));
  const secrets = Object.fromEntries(names.map((name) => [`KEYFORGE_SECRET_${name.toUpperCase()}_MAIN`, credentialValue(name)]));
  const up = await startUp(manifests, dataDir, secrets);
  let seen = 0;
  return {
    proxyUrl: up.proxyUrl,
    token: up.token,
    async news() {
      const billed = provider.calls().filter(({ usage }) => usage !== undefined).length;
      await eventually(() => (readCalls(dataDir).length >= billed ? true : undefined), `${billed} records`);
      const calls = readCalls(dataDir).slice(seen);
      seen += calls.length;
      return calls;
    },
    async [Symbol.asyncDispose]() {
      await up.kill('SIGKILL');
      await provider.close();
    },
  };
}

function scripted({ reads }: Agent, asked: Prompt, file: string): Conditions | undefined {
  if (asked.schema !== undefined) return undefined;
  if (reads === undefined || asked.everything.includes(note)) return { text: answer };
  const call = reads(file);
  if (asked.tools.every(({ name }) => name !== call.name)) return { text: 'A title' };
  return asked.afterTool ? { text: `${call.name} did not show the note.` } : { toolCall: call };
}
