import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { defined } from '../../core/json.ts';
import { secretVariable } from '../../operator/standalone/credentials.ts';
import { type Simulation, startSimulation } from '../../simulator/provider.ts';
import type { Environment } from '../config.ts';

const providers = ['openai', 'anthropic', 'gemini'] as const;

/** The three pools of the quick start: real where there is a credential, simulated else. */
interface QuickstartPools {
  readonly manifests: readonly string[];
  readonly secrets: Readonly<Record<string, string>>;
  readonly simulated: readonly string[];
  /** Absent where all three are real. */
  readonly simulation?: Simulation;
}

/** Starts the simulation where the environment has no credential, and writes its pools below `dataDir`. */
export async function quickstartPools(examples: string, dataDir: string, environment: Environment): Promise<QuickstartPools> {
  const realKey = (pool: string): string | undefined => environment[`${pool.toUpperCase()}_API_KEY`] || undefined;
  const simulated = providers.filter((pool) => realKey(pool) === undefined);
  const credential = `simulated-${randomBytes(12).toString('hex')}`;
  const simulation =
    simulated.length === 0 ? undefined : await startSimulation({ credentials: [credential], conditions: { msPerToken: 15 } });
  const manifests: string[] = [];
  for (const pool of providers) {
    const file = join(examples, `${pool}.yaml`);
    const copy = simulated.includes(pool) && simulation !== undefined;
    manifests.push(copy ? await redirect(file, join(dataDir, 'simulated', `${pool}.json`), simulation.url) : file);
  }
  return {
    manifests: [join(examples, 'key.yaml'), ...manifests],
    secrets: Object.fromEntries(providers.map((pool) => [secretVariable(pool, 'api-key'), realKey(pool) ?? credential])),
    simulated,
    ...defined({ simulation }),
  };
}

/** The same pool with another endpoint. */
async function redirect(file: string, to: string, endpoint: string): Promise<string> {
  const pool = parse(await readFile(file, 'utf8')) as { readonly spec: object };
  await mkdir(join(to, '..'), { recursive: true, mode: 0o700 });
  await writeFile(to, JSON.stringify({ ...pool, spec: { ...pool.spec, endpoint } }, null, 2));
  return to;
}
