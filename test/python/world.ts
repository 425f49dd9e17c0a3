import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quickstartPools } from '../../cli/start/pools.ts';
import type { CallBody } from '../../core/audit/types.ts';
import { sdkVariables, urlVariables } from '../../core/base-urls.ts';
import { parseUsd } from '../../core/money.ts';
import { readCalls } from '../../operator/store/recorded-calls.ts';
import type { Simulation } from '../../simulator/provider.ts';
import { runKeyforge, startUp } from '../cli.ts';
import { eventually, recordedNano } from '../harness.ts';
import { keyManifest } from '../manifests.ts';

const examples = join(import.meta.dirname, '..', '..', 'examples', 'quickstart');

/** `keyforge up` with the quick start's manifests, its pools simulated, and a key with nothing left. */
export interface PythonWorld {
  readonly proxyUrl: string;
  /** The key of the environment. */
  readonly token: string;
  /** What an injected container has, an empty home folder, and what the tests themselves read. */
  readonly environment: Readonly<Record<string, string>>;
  /** Calls recorded since the last time. */
  news(): readonly CallBody[];
  /** Ends everything; says how KeyForge's records and the provider's bill differ, undefined where they agree. */
  close(): Promise<string | undefined>;
}

/** Starts it. */
export async function startPythonWorld(): Promise<PythonWorld> {
  const root = await mkdtemp(join(tmpdir(), 'keyforge-python-'));
  const { simulation, secrets } = await quickstartPools(examples, root, {});
  if (simulation === undefined) throw new Error('the quick start has no simulated pool');
  simulation.rule({ conditions: { msPerToken: 0 } });
  const manifests = join(root, 'simulated');
  await copyFile(join(examples, 'key.yaml'), join(manifests, 'key.yaml'));
  await writeFile(join(manifests, 'spent.yaml'), keyManifest('spent', { limits: [{ window: 'Total', usd: '0.05' }] }));
  const dataDir = join(root, 'data');
  const up = await startUp(manifests, dataDir, secrets);
  const tokenOf = (key: string): Promise<string> => readFile(join(dataDir, 'tokens', 'agents', key), 'utf8').then((text) => text.trim());
  const spent = await tokenOf('spent');
  await spend(simulation, up.proxyUrl, spent);
  const token = await tokenOf('quickstart');
  let seen = readCalls(dataDir).length;
  return {
    proxyUrl: up.proxyUrl,
    token,
    environment: {
      ...Object.fromEntries(
        sdkVariables.flatMap((each) => [
          ...urlVariables(each, up.proxyUrl),
          ...each.keys.map((key) => [key, token]),
          ...each.also.map(({ name, value }) => [name, value]),
        ]),
      ),
      HOME: root,
      KEYFORGE_METRICS_URL: up.metricsUrl,
      KEYFORGE_SPENT_KEY: spent,
    },
    news() {
      const calls = readCalls(dataDir).slice(seen);
      seen += calls.length;
      return calls;
    },
    async close() {
      const difference = await differenceOf(simulation, dataDir);
      await up.kill('SIGTERM');
      await simulation.close();
      await rm(root, { recursive: true, force: true });
      return difference;
    },
  };
}

/** Spends a key until even a small call does not fit any more. */
async function spend(simulation: Simulation, proxyUrl: string, token: string): Promise<void> {
  const model = 'gpt-5.4-mini';
  const undo = simulation.rule({ model, conditions: { msPerToken: 0, outputTokens: 4000 } });
  for (const limit of [4000, 400, 20]) {
    for (let status = 200; status === 200; ) {
      const answer = await fetch(`${proxyUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'x-keyforge-max-tokens': 'exact' },
        body: JSON.stringify({ model, max_completion_tokens: limit, messages: [{ role: 'user', content: 'Spend' }] }),
      });
      await answer.text();
      status = answer.status;
    }
  }
  undo();
}

/** Compares the provider's bill, each call rounded up as KeyForge does, with the entries and with `keyforge keys list`. */
async function differenceOf(simulation: Simulation, dataDir: string): Promise<string | undefined> {
  const billed = simulation.calls().reduce((sum, call) => sum + (call.pico + 999n) / 1000n, 0n);
  let listed = 0n;
  let recorded = 0n;
  const agree = async (): Promise<true | undefined> => {
    recorded = recordedNano(readCalls(dataDir));
    listed = await listedNano(dataDir);
    return recorded === billed && listed === billed ? true : undefined;
  };
  return eventually(agree, 'the records', 10_000).then(
    () => undefined,
    () => `the provider billed ${billed} nano-USD, the entries say ${recorded}, the keys' accounts ${listed}`,
  );
}

async function listedNano(dataDir: string): Promise<bigint> {
  const { stdout, stderr } = await runKeyforge(['keys', 'list', '--json', '--data', dataDir]);
  if (stdout === '') throw new Error(`keyforge keys list: ${stderr}`);
  const { keys } = JSON.parse(stdout) as { readonly keys: readonly { readonly spentUsd: string }[] };
  return keys.reduce((sum, { spentUsd }) => sum + BigInt(parseUsd(spentUsd) ?? 0), 0n);
}
