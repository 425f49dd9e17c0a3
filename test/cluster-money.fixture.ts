import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KeyName, keyName } from '../core/names.ts';
import { formatProblem } from '../core/problem.ts';
import type { AccountView } from '../core/protocol/money.ts';
import { type Broker, createBroker } from '../operator/broker.ts';
import { type CheckReport, checkStore } from '../operator/evidence/check.ts';
import { makeCertificates, quick, type Replica, scripted, sidecar, silent, startReplica } from '../operator/sessions/world.fixture.ts';
import { readPolicy } from '../operator/standalone/read-policy.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';
import type { ProxyLimits } from '../proxy/limits.ts';
import { connectOperator } from '../proxy/link/session.ts';
import { startProxy } from '../proxy/main.ts';
import { simulatedModels } from '../simulator/models.ts';
import { type Simulation, startSimulation } from '../simulator/provider.ts';
import { keyManifest, poolManifest } from './manifests.ts';

export const bot: KeyName = keyName('agents', 'bot');
const model = 'gpt-5.4-mini';

/** One operator with its real store and its real control port, to be cut off, killed and edited; and a provider that bills. */
export interface Cluster {
  readonly dir: string;
  readonly url: string;
  readonly ca: string;
  readonly provider: Simulation;
  readonly broker: Broker;
  token(): string;
  /** The account of the key's only limit, or of its whole life. */
  account(): Promise<AccountView['accounts'][number]>;
  check(): CheckReport;
  /** Edits the key; dollars of its one limit. */
  declare(usd: string): Promise<void>;
  /** Every connection breaks, without a word; the port is served again at once. */
  cut(): Promise<void>;
  /** As `kill -9` and a new process: what no transaction holds is gone. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it for Pods of these uids; the token of each is its uid. */
export async function startCluster(pods: readonly string[], usd: string, spec: Readonly<Record<string, unknown>> = {}): Promise<Cluster> {
  const dir = await mkdtemp(join(tmpdir(), 'keyforge-cluster-money-'));
  const provider = await startSimulation({ credentials: ['sk-sim'] });
  const certificates = await makeCertificates();
  const rootKey = randomBytes(32);
  const attestor = scripted(new Map(pods.map((uid) => [uid, sidecar(uid)])));
  let limit = usd;
  let store = open();
  let broker = serve();
  await adopt();
  let replica = await listen();
  const port = Number(new URL(replica.url).port);

  function open() {
    return openSqliteStore({ path: join(dir, 'keyforge.db'), clock: Date.now });
  }

  function serve(): Broker {
    return createBroker({
      ...{ store, book: () => [], random: randomBytes, rootKey, instance: 'operator', logger: silent },
      poolProblems: 'withdraw',
      decides: () => true,
      onChange: () => {},
    });
  }

  async function adopt(): Promise<void> {
    const models = simulatedModels.filter(({ name }) => name === model);
    const pool = poolManifest({ name: 'openai', provider: 'OpenAI', endpoint: provider.url, models });
    const pools = [{ name: 'openai', namespace: 'keyforge-system' }];
    const key = keyManifest('bot', { pools, limits: [{ window: 'Total', usd: limit }], ...spec });
    await writeFile(join(dir, 'all.yaml'), `${pool}---\n${key}`);
    const source = { paths: [join(dir, 'all.yaml')], secrets: { KEYFORGE_SECRET_OPENAI_MAIN: 'sk-sim' }, missing: 'problem' } as const;
    const problems = broker.adopt((await readPolicy(source)).policy);
    if (problems.length > 0) throw new Error(problems.map(formatProblem).join('; '));
  }

  function listen(at?: number): Promise<Replica> {
    // A busy machine may leave a process without a turn for seconds.
    const timings = { helloMs: 20_000, silenceMs: 20_000 };
    return startReplica({ attestor, certificates, timings, host: broker, ...(at !== undefined && { port: at }) });
  }

  return {
    dir,
    url: replica.url,
    ca: certificates.ca,
    provider,
    get broker() {
      return broker;
    },
    token: () => broker.token(bot) ?? '',
    async account() {
      const account = (await broker.account(bot)).accounts.find(({ key }) => key === bot);
      if (account === undefined) throw new Error('the key has no account');
      return account;
    },
    check: () => checkStore(store, rootKey, []),
    declare(next) {
      limit = next;
      return adopt();
    },
    async cut() {
      await replica.crash();
      replica = await listen(port);
    },
    async restart() {
      await replica.crash();
      broker.close();
      store.close();
      store = open();
      broker = serve();
      await adopt();
      replica = await listen(port);
    },
    async close() {
      await replica.close();
      broker.close();
      store.close();
      await provider.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A sidecar in this process. */
export interface Sidecar {
  readonly url: string;
  /** Closes it in order, as by SIGTERM. */
  close(): Promise<void>;
}

/** Starts a sidecar. */
export async function startSidecar(
  cluster: Cluster,
  uid: string,
  limits: Partial<ProxyLimits> = {},
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const session = connectOperator({
    ...{ url: cluster.url, ca: cluster.ca, readToken: async () => uid, logger: silent, random: Math.random, timings: quick },
    monotonic: () => performance.now(),
  });
  const proxy = await startProxy({
    ...{
      control: session,
      instance: session.instance,
      dataDir: join(cluster.dir, uid),
      bootId: 'boot',
      metricsListen: null,
      logger: silent,
    },
    listen: { host: '127.0.0.1', port: 0 },
    limits,
  });
  let closing: Promise<void> | null = null;
  return {
    url: proxy.url,
    close() {
      closing ??= proxy.close().then(() => session.close());
      return closing;
    },
  };
}

/** One call through a proxy; its outcome as a code, `ok`, or `broken` where no answer came. */
export async function call(url: string, token: string, outputTokens = 50, signal: AbortSignal | null = null): Promise<string> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, max_tokens: outputTokens, messages: [{ role: 'user', content: 'hello' }] }),
      signal,
    });
    const body = (await response.json()) as { readonly error?: { readonly code?: string } };
    return response.ok ? 'ok' : (body.error?.code ?? String(response.status));
  } catch {
    return 'broken';
  }
}

/** A small seeded generator (mulberry32): a failure is repeated by its seed. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
