import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Pinned, pinOperator, startPinned } from './process.ts';

/** One thing to measure. */
export interface Target {
  readonly name: string;
  start(upstreamUrl: string): Promise<Running>;
}

export interface Running {
  readonly url: string;
  readonly key: string;
  /** Absent: the upstream itself. */
  readonly process?: Pinned;
  stop(): Promise<void>;
}

const node = process.execPath;
const here = import.meta.dirname;
/** The checkout that this bench is part of. */
export const ownCheckout: string = resolve(here, '..');
/** As `npm run keyforge` sets them: a young generation without a bound grows by 100 MB under load and saves no CPU. */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=8'];

export const direct: Target = {
  name: 'direct',
  start: (upstreamUrl) => Promise.resolve({ url: upstreamUrl, key: 'sk-bench', stop: () => Promise.resolve() }),
};

export const relay: Target = {
  name: 'relay',
  async start(upstreamUrl) {
    const running = await startPinned(0, [node, join(here, 'relay.ts'), upstreamUrl]);
    return { url: `http://127.0.0.1:${running.firstLine.match(/(\d+)\D*$/)?.[1]}`, key: 'any', process: running, stop: running.stop };
  },
};

/** Policy, budget (a month and a day), quota and audit all on. */
export function manifest(upstreamUrl: string): string {
  return `apiVersion: keyforge.dev/v1alpha1
kind: ProviderPool
metadata: {name: openai, namespace: keyforge-system}
spec:
  provider: OpenAI
  endpoint: ${upstreamUrl}
  keys: [{name: bench, secretRef: {name: openai, key: bench}}]
  consumers: [{namespaceSelector: {}}]
---
apiVersion: keyforge.dev/v1alpha1
kind: VirtualKey
metadata: {name: bench, namespace: agents}
spec:
  owner: {team: bench}
  pools: [{name: openai, namespace: keyforge-system}]
  models: {allow: ["gpt-5.4-mini"]}
  limits:
  - {window: Month, usd: "900000.00", requests: 900000000}
  - {window: Day, usd: "900000.00"}
`;
}

/** `keyforge up` of a checkout. */
export function keyforgeOf(checkout: string, name: string): Target {
  return { name, start: (upstreamUrl) => startKeyforge(checkout, upstreamUrl) };
}

async function startKeyforge(checkout: string, upstreamUrl: string): Promise<Running> {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-bench-'));
  writeFileSync(join(dir, 'bench.yaml'), manifest(upstreamUrl));
  const listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0'];
  const command = [
    node,
    ...nodeFlags,
    join(checkout, 'cli/keyforge.ts'),
    'up',
    '-f',
    join(dir, 'bench.yaml'),
    '--data',
    join(dir, 'data'),
    ...listen,
    '--json',
  ];
  const running = await startPinned(0, command, { KEYFORGE_SECRET_OPENAI_BENCH: 'sk-bench' });
  pinOperator(running.child.pid ?? 0, 1);
  const ready = JSON.parse(running.firstLine) as { proxy: string; keys: { key: string }[] };
  return {
    url: ready.proxy,
    key: ready.keys[0]?.key ?? '',
    process: running,
    async stop() {
      await running.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The proxy of a checkout as its image runs it, one bundled file, with that checkout's operator in another process at the other end of TLS. */
export function sidecarOf(checkout: string, name: string): Target {
  return { name, start: (upstreamUrl) => startSidecar(checkout, upstreamUrl) };
}

async function startSidecar(checkout: string, upstreamUrl: string): Promise<Running> {
  const { keys, ...running } = await startProxy({ checkout, manifests: manifest(upstreamUrl), sidecarKey: 'agents/bench' });
  return { ...running, key: keys['agents/bench'] ?? '' };
}

export interface ProxyPlan {
  readonly checkout: string;
  /** YAML. Each secret of a pool is `openai/bench`, whose value is `sk-bench`. */
  readonly manifests: string;
  /** The key of a sidecar; absent: a gateway. */
  readonly sidecarKey?: string;
}

/** A proxy as its image runs it, with its operator. */
export interface RunningProxy {
  readonly url: string;
  readonly metricsUrl: string;
  /** Tokens by `namespace/name`. */
  readonly keys: Readonly<Record<string, string>>;
  readonly process: Pinned;
  stop(): Promise<void>;
}

interface OperatorLine {
  readonly url: string;
  readonly ca: string;
  readonly keys?: Readonly<Record<string, string>>;
  /** From a checkout before 2026-11-27, in place of `keys`. */
  readonly key?: string;
}

/** Starts the proxy of a checkout on core 0 and its operator on core 1. */
export async function startProxy({ checkout, manifests, sidecarKey }: ProxyPlan): Promise<RunningProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-bench-'));
  writeFileSync(join(dir, 'bench.yaml'), manifests);
  const { bundle } = (await import(join(checkout, 'scripts/images/bundle.ts'))) as typeof import('../scripts/images/bundle.ts');
  writeFileSync(join(dir, 'keyforge.mjs'), (await bundle('proxy')).code);
  writeFileSync(join(dir, 'package.json'), '{"version":"0.0.0"}');
  writeFileSync(join(dir, 'token'), 'bench');
  const scope = sidecarKey === undefined ? [] : [sidecarKey];
  const program = join(checkout, 'bench/operator.ts');
  const operator = await startPinned(1, [node, program, join(dir, 'bench.yaml'), join(dir, 'store'), ...scope]);
  const { url, ca, keys, key } = JSON.parse(operator.firstLine) as OperatorLine;
  const [port, metricsPort] = [await freePort(), await freePort()];
  const flags = ['--disable-sigusr1', '--report-exclude-env', ...nodeFlags, '--max-old-space-size=128'];
  const more = ['--listen', `127.0.0.1:${port}`, '--metrics-listen', `127.0.0.1:${metricsPort}`, '--log-level', 'warn'];
  const settings = ['--control', url, '--token-file', join(dir, 'token'), '--data', join(dir, 'data')];
  const startedAt = performance.now();
  const child = spawn('taskset', ['-c', '0', node, ...flags, join(dir, 'keyforge.mjs'), 'proxy', ...settings, ...more], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_ARENA_MAX: '2', KEYFORGE_CONTROL_CA: ca },
  });
  while (!(await isReady(metricsPort))) await new Promise((resolve) => setTimeout(resolve, 5));
  const startMs = performance.now() - startedAt;
  const stop = (): Promise<void> =>
    new Promise((done) => {
      child.once('exit', () => done());
      child.kill('SIGTERM');
    });
  return {
    url: `http://127.0.0.1:${port}`,
    metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
    keys: keys ?? { 'agents/bench': key ?? '' },
    process: { child, firstLine: '', startMs, stop },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) await stop();
      await operator.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
