/**
 * `npm run siege [-- MINUTES]` (10): two honest agents and two hostile keys on a gateway, then on a sidecar, each with the image's heap of
 * 128 MiB. Each attack of `attacks.ts` has its turn. Exit code 1 if a proxy ended, if an honest bill is not exact, or if memory passed 256 MiB.
 */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { memoryMb, type Pinned, startPinned } from '../process.ts';
import { ownCheckout, type RunningProxy, startProxy } from '../targets.ts';
import { attacks, type Spoils } from './attacks.ts';
import type { Honest } from './honest.ts';

const minutes = Number(process.argv[2] ?? 10);
const memoryLimitMb = 256;
const maxP99Ratio = 1.5;
const here = import.meta.dirname;
const run = promisify(execFile);

/** The simulated provider stands still while it parses 31 MiB, so what it gets of that size goes to a process of its own. */
const heavy = (url: string): string => `---
apiVersion: keyforge.dev/v1alpha1
kind: ProviderPool
metadata: {name: heavy, namespace: keyforge-system}
spec: {provider: OpenAI, endpoint: "${url}", keys: [{name: bench, secretRef: {name: openai, key: bench}}], consumers: [{namespaceSelector: {}}], models: [{name: siege-heavy, pricePerMillion: {input: "1.00", output: "1.00"}}]}
`;

const pools = (url: string): string =>
  Object.entries({ openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' })
    .map(
      ([name, provider]) => `apiVersion: keyforge.dev/v1alpha1
kind: ProviderPool
metadata: {name: ${name}, namespace: keyforge-system}
spec: {provider: ${provider}, endpoint: "${url}", keys: [{name: bench, secretRef: {name: openai, key: bench}}], consumers: [{namespaceSelector: {}}]}
`,
    )
    .join('---\n');

const key = (name: string, usd: string, more = ''): string => `---
apiVersion: keyforge.dev/v1alpha1
kind: VirtualKey
metadata: {name: ${name}, namespace: agents}
spec: {pools: [{name: openai, namespace: keyforge-system}, {name: anthropic, namespace: keyforge-system}, {name: gemini, namespace: keyforge-system}, {name: heavy, namespace: keyforge-system}], delivery: [Sidecar, Gateway], limits: [{window: Total, usd: "${usd}"}]${more}}
`;

const usdOf = { alice: '100.00', bob: '100.00', mallory: '100.00', oscar: '0.000001' } as const;
type Person = keyof typeof usdOf;
type Tokens = Readonly<Record<Person, string>>;

interface Place {
  readonly name: string;
  start(pools: string): Promise<RunningProxy>;
  tokens(proxy: RunningProxy): Promise<Tokens>;
}

const people = Object.keys(usdOf) as Person[];

async function tokensBy(of: (person: Person) => string | Promise<string>): Promise<Tokens> {
  return Object.fromEntries(await Promise.all(people.map(async (person) => [person, await of(person)]))) as Tokens;
}

const gateway: Place = {
  name: 'gateway',
  start: (pools) => startProxy({ checkout: ownCheckout, manifests: pools + people.map((person) => key(person, usdOf[person])).join('') }),
  tokens: (proxy) => tokensBy((person) => proxy.keys[`agents/${person}`] ?? ''),
};

/** A sidecar serves one key; the others are those of its sub-agents. */
const sidecar: Place = {
  name: 'sidecar',
  start: (pools) =>
    startProxy({
      checkout: ownCheckout,
      manifests: pools + key('team', '500.00', ', delegation: {maxDepth: 1, maxChildren: 8}'),
      sidecarKey: 'agents/team',
    }),
  tokens: (proxy) =>
    tokensBy(async (person) => {
      const response = await fetch(`${proxy.url}/keyforge/v1/keys`, {
        ...{ method: 'POST', body: JSON.stringify({ name: person, usd: usdOf[person] }) },
        headers: { authorization: `Bearer ${proxy.keys['agents/team']}`, 'content-type': 'application/json' },
      });
      return ((await response.json()) as { readonly key: string }).key;
    }),
};

interface World {
  readonly proxy: RunningProxy;
  readonly tokens: Tokens;
}

interface Phase extends Honest {
  readonly name: string;
  readonly memoryMb: number;
  /** The longest delay of the proxy's event loop. */
  readonly heldMs: number;
}

/** Runs the honest agents for a while, alone or under an attack. */
async function phase(name: string, seconds: number, { proxy, tokens }: World): Promise<Phase> {
  const spoils: Spoils = { url: proxy.url, rich: tokens.mallory, poor: tokens.oscar };
  const attack = attacks[name] === undefined ? null : startAttack(name, spoils);
  let most = 0;
  const watch = setInterval(() => {
    if (isRunning(proxy)) most = Math.max(most, memoryMb(proxy.process.child.pid ?? 0));
  }, 200);
  await heldMs(proxy);
  const plan = { url: proxy.url, tokens: [tokens.alice, tokens.bob], seconds };
  const { stdout } = await run('taskset', ['-c', '1', process.execPath, join(here, 'honest.ts'), JSON.stringify(plan)]);
  clearInterval(watch);
  attack?.kill('SIGKILL');
  return { name, memoryMb: most, heldMs: await heldMs(proxy), ...(JSON.parse(stdout) as Honest) };
}

/** The longest delay of the proxy's event loop since this was read last; NaN: the proxy has ended. */
async function heldMs(proxy: RunningProxy): Promise<number> {
  if (!isRunning(proxy)) return Number.NaN;
  const text = await (await fetch(proxy.metricsUrl)).text();
  return Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]) * 1000;
}

function startAttack(name: string, spoils: Spoils): ReturnType<typeof spawn> {
  const command = ['-c', '1', 'nice', '-n', '15', process.execPath, join(here, 'attacks.ts'), name, JSON.stringify(spoils)];
  return spawn('taskset', command, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function isRunning({ process: { child } }: RunningProxy): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function spentUsd(proxy: RunningProxy, token: string): Promise<number> {
  const response = await fetch(`${proxy.url}/keyforge/v1/self`, { headers: { authorization: `Bearer ${token}` } });
  const self = (await response.json()) as {
    readonly key: string;
    readonly limits: readonly { readonly key: string; readonly spentUsd: string }[];
  };
  return Number(self.limits.find((limit) => limit.key === self.key)?.spentUsd);
}

/** Returns what went wrong. */
async function besiege(place: Place): Promise<readonly string[]> {
  const provider = await startPinned(1, [process.execPath, join(here, 'provider.ts')]);
  const aside = await startPinned(1, ['nice', '-n', '15', process.execPath, join(here, 'provider.ts')]);
  const proxy = await place.start(pools(provider.firstLine) + heavy(aside.firstLine));
  try {
    return await attackAll(place, { proxy, tokens: await place.tokens(proxy) }, provider);
  } finally {
    for (const { child } of [provider, aside]) child.kill('SIGTERM');
    await proxy.stop();
  }
}

async function attackAll(place: Place, world: World, provider: Pinned): Promise<readonly string[]> {
  const { proxy } = world;
  const names = Object.keys(attacks);
  const seconds = (minutes * 60) / 2 / (names.length + 2);
  await phase('warm-up', Math.min(5, seconds), world);
  const peace = await phase('peace', seconds, world);
  print(place, peace, peace);
  const wrong: string[] = [];
  for (const name of names) {
    const found = await phase(name, seconds, world);
    print(place, found, peace);
    if (!isRunning(proxy)) return [`${place.name}: the proxy ended during "${name}"`];
    if (found.memoryMb > memoryLimitMb) wrong.push(`${place.name}: ${found.memoryMb.toFixed(0)} MB during "${name}"`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  return [...wrong, ...(await compareBills(place, world, provider))];
}

async function compareBills(place: Place, { proxy, tokens }: World, provider: Pinned): Promise<readonly string[]> {
  const charged = { 'gpt-5.4-mini': await spentUsd(proxy, tokens.alice), 'claude-haiku-4-5': await spentUsd(proxy, tokens.bob) };
  const line = new Promise<string>((resolve) => provider.child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())));
  provider.child.kill('SIGTERM');
  const billed = JSON.parse(await line) as Readonly<Record<string, number>>;
  return Object.entries(charged).flatMap(([model, usd]) => {
    const bill = billed[model] ?? 0;
    console.log(`${place.name}: the provider billed $${bill.toFixed(9)} for ${model}, charged were $${usd.toFixed(9)}`);
    // The provider bills fractions of a nano-dollar; each call is charged rounded up.
    return Math.abs(usd - bill) < 1e-4 ? [] : [`${place.name}: $${bill} were billed for ${model}, and $${usd} charged`];
  });
}

function print(place: Place, { name, calls, p50Ms, p99Ms, failures, memoryMb: mb, heldMs: held }: Phase, peace: Phase): void {
  const ratio = p99Ms / peace.p99Ms;
  const failed = Object.entries(failures).map(([status, count]) => `${count} × ${status}`);
  console.log(
    `${place.name.padEnd(8)} ${name.padEnd(34)} ${String(calls).padStart(5)} calls  p50 ${p50Ms.toFixed(0).padStart(5)} ms  p99 ${p99Ms.toFixed(0).padStart(5)} ms (${ratio.toFixed(2)} ×${ratio > maxP99Ratio ? ' !' : ''})  ${mb.toFixed(0).padStart(4)} MB  held ${held.toFixed(0).padStart(4)} ms  ${failed.join(', ')}`,
  );
}

const wrong = [...(await besiege(gateway)), ...(await besiege(sidecar))];
for (const problem of wrong) console.log(`WRONG: ${problem}`);
console.log(wrong.length === 0 ? 'held' : 'fell');
process.exit(wrong.length === 0 ? 0 : 1);
