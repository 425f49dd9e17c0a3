/**
 * `npm run soak -- [MINUTES] [CALLS_PER_SECOND]` (60, 30): a mix of calls through `keyforge up` against the simulated provider, with clients that leave midway and
 * providers that fail. Prints memory and descriptors each minute; at the end memory must be flat, descriptors must not grow, what was recorded must
 * equal the provider's own bill, and the record must verify.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startSimulation } from '../simulator/provider.ts';
import { descriptors, median, memoryMb } from './process.ts';
import { nodeFlags } from './targets.ts';

const minutes = Number(process.argv[2] ?? 60);
const callsPerSecond = Number(process.argv[3] ?? 30);
const dir = mkdtempSync(join(tmpdir(), 'keyforge-soak-'));
const cli = join(import.meta.dirname, '../cli/keyforge.ts');
const provider = await startSimulation({ credentials: ['sk-soak-1', 'sk-soak-2'], keepCalls: 10, conditions: { msPerToken: 2 } });

const pool = (name: string, kind: string): string => `apiVersion: keyforge.dev/v1alpha1
kind: ProviderPool
metadata: {name: ${name}, namespace: keyforge-system}
spec:
  provider: ${kind}
  endpoint: ${provider.url}
  keys:
  - {name: one, secretRef: {name: soak, key: one}}
  - {name: two, secretRef: {name: soak, key: two}}
  consumers: [{namespaceSelector: {}}]
`;
mkdirSync(join(dir, 'policy'));
writeFileSync(
  join(dir, 'policy', 'soak.yaml'),
  `${pool('openai', 'OpenAI')}---\n${pool('anthropic', 'Anthropic')}---\n${pool('gemini', 'Gemini')}---
apiVersion: keyforge.dev/v1alpha1
kind: VirtualKey
metadata: {name: soak, namespace: agents}
spec:
  pools: [{name: openai, namespace: keyforge-system}, {name: anthropic, namespace: keyforge-system}, {name: gemini, namespace: keyforge-system}]
  limits: [{window: Total, usd: "5000.00", requests: 10000000}, {window: Hour, usd: "5000.00"}]
`,
);
const listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
const child = spawn(
  process.execPath,
  [...nodeFlags, cli, 'up', '-f', join(dir, 'policy'), '--data', join(dir, 'data'), ...listen, '--json'],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, KEYFORGE_SECRET_SOAK_ONE: 'sk-soak-1', KEYFORGE_SECRET_SOAK_TWO: 'sk-soak-2' },
  },
);
const pid = child.pid ?? 0;
const ready = await new Promise<{ proxy: string; keys: { key: string }[] }>((resolve) =>
  createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line))),
);
const headers = { authorization: `Bearer ${ready.keys[0]?.key}`, 'content-type': 'application/json' };
const outcomes = new Map<string, number>();

const text = (n: number): string => `call ${n} ${'soak '.repeat(n % 50)}`;
const kinds: readonly ((n: number) => { path: string; body: object; leavesAfterMs?: number })[] = [
  (n) => ({ path: '/v1/chat/completions', body: { model: 'gpt-5.4-mini', messages: [{ role: 'user', content: text(n) }] } }),
  (n) => ({ path: '/v1/chat/completions', body: { model: 'gpt-5.4-mini', stream: true, messages: [{ role: 'user', content: text(n) }] } }),
  (n) => ({ path: '/v1/responses', body: { model: 'gpt-5.4-mini', stream: true, input: text(n) } }),
  (n) => ({
    path: '/v1/messages',
    body: { model: 'claude-haiku-4-5', max_tokens: 200, stream: true, messages: [{ role: 'user', content: text(n) }] },
  }),
  (n) => ({
    path: '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: text(n) }] }] },
  }),
  (n) => ({ path: '/v1/embeddings', body: { model: 'text-embedding-3-small', input: text(n) } }),
  (n) => ({
    path: '/v1/chat/completions',
    body: { model: 'gpt-5.4-mini', stream: true, messages: [{ role: 'user', content: text(n) }] },
    leavesAfterMs: 20,
  }),
  () => ({ path: '/v1/chat/completions', body: { model: 'no-such-model', messages: [] } }),
];

async function call(n: number): Promise<void> {
  const kind = kinds[n % kinds.length];
  if (kind === undefined) return;
  const { path, body, leavesAfterMs } = kind(n);
  const signal = leavesAfterMs === undefined ? undefined : AbortSignal.timeout(leavesAfterMs);
  let outcome: string;
  try {
    const response = await fetch(`${ready.proxy}${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    await response.arrayBuffer();
    outcome = String(response.status);
  } catch {
    outcome = leavesAfterMs === undefined ? 'broken' : 'left';
  }
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

const samples: { mb: number; fds: number }[] = [];
let n = 0;
const endAt = Date.now() + minutes * 60_000;
let nextSample = Date.now() + 60_000;
let rule: (() => void) | null = null;
while (Date.now() < endAt) {
  void call(n);
  n += 1;
  // Now and then one credential is limited for a while: calls go on with the other.
  if (n % 500 === 0) rule = provider.rule({ credential: 'sk-soak-1', fault: { kind: 'rate_limited', retryAfterSeconds: 1 } });
  if (n % 500 === 100) rule?.();
  if (Date.now() >= nextSample) {
    nextSample += 60_000;
    samples.push({ mb: memoryMb(pid), fds: descriptors(pid) });
    const { mb, fds } = samples.at(-1) ?? { mb: 0, fds: 0 };
    console.log(
      `minute ${samples.length}: ${n} calls, ${mb.toFixed(0)} MB, ${fds} descriptors, ${[...outcomes].map(([code, count]) => `${code}: ${count}`).join(', ')}`,
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 1000 / callsPerSecond));
}
await new Promise((resolve) => setTimeout(resolve, 5000));
const self = (await (await fetch(`${ready.proxy}/keyforge/v1/self`, { headers })).json()) as {
  limits: { window: string; spentUsd: string }[];
};
const spent = self.limits.find(({ window }) => window === 'Total')?.spentUsd ?? '';
const { totalPico, calls } = provider.bill();
await new Promise((resolve) => child.once('exit', resolve).kill('SIGTERM'));
console.log(execFileSync(process.execPath, [cli, 'audit', 'verify', '--data', join(dir, 'data')], { encoding: 'utf8' }).trim());
const half = Math.floor(samples.length / 2);
const middle = (part: typeof samples, figure: 'mb' | 'fds'): string => median(part.map((sample) => sample[figure])).toFixed(0);
console.log(
  `memory, median of each half: ${middle(samples.slice(0, half), 'mb')} → ${middle(samples.slice(half), 'mb')} MB; descriptors ${middle(samples.slice(0, half), 'fds')} → ${middle(samples.slice(half), 'fds')}`,
);
console.log(`${n} calls; the provider billed ${calls} and $${Number(totalPico) / 1e12}; recorded as spent: $${spent}`);
await provider.close();
rmSync(dir, { recursive: true, force: true });
