/**
 * `npm run bench:cluster [-- KEYS PODS PROXIES]` (1000, 5000, 1000): the operator as a process against a real etcd, API server and controller
 * manager, with the chart's rights, policies and webhook, and Pods on nodes of KWOK. The first run builds these from source. All share
 * the machine's cores, so times are those of a busy control plane.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { connectKube } from '../../operator/kube/client.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { virtualKeys } from '../../operator/kube/resources.ts';
import type { KubeObject } from '../../operator/kube/types.ts';
import type { OperatorProcess } from '../../test/cluster/operator-process.ts';
import { cpuSeconds, memoryMb } from '../process.ts';
import { nowMs, startCrowd } from './crowd.ts';
import { startFakeNodes } from './nodes.ts';
import { createPod, eachOf, type MadePod, tokensOf, webhookWaits } from './pods.ts';
import { agentKey, budgetObjects, demand, openWorld, poolObjects } from './world.ts';

const [keyCount = 1000, podCount = 5000, proxyCount = 1000] = process.argv.slice(2).map(Number);
const teams = Array.from({ length: 20 }, (_, index) => `team-${index}`);
const keys = Array.from({ length: keyCount }, (_, index) => ({ team: teams[index % teams.length] ?? '', name: `agent-${index}` }));
const restMs = 20_000;
/** Counts of consumers, proxies and spend are shown anew each half minute. */
const settleMs = 35_000;
const rows: (readonly [what: string, figure: string])[] = [];

function row(what: string, figure: string): void {
  rows.push([what, figure]);
  console.log(`${what}: ${figure}`);
}

function part(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function spread(values: readonly number[], digits = 0): string {
  const [p50, p99, most] = [part(values, 0.5), part(values, 0.99), Math.max(...values)].map((ms) => ms.toFixed(digits));
  return `p50 ${p50} ms, p99 ${p99} ms, most ${most} ms (${values.length})`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function isReady(object: KubeObject): boolean {
  const { conditions = [] } = (object['status'] ?? {}) as { readonly conditions?: readonly { type: string; status: string }[] };
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
}

const pidOf = ({ process: { pid = 0 } }: OperatorProcess): number => pid;
const cpu = (): number => cpuSeconds(pidOf(operator)).proxy;
const memory = (pid: number): string => `PSS ${memoryMb(pid).toFixed(0)} MB, RSS ${rssMb(pid).toFixed(0)} MB`;

/** Nothing changes for a while: what does the operator do? */
async function rest(what: string): Promise<void> {
  await pause(settleMs);
  const mark = world.audit.mark();
  const cpuBefore = cpu();
  await pause(restMs);
  const used = cpu() - cpuBefore;
  // The API server writes its log a little later.
  await pause(500);
  const { total, leases, byKind } = world.audit.writesSince(mark);
  const kinds = [...byKind].filter(([kind]) => !kind.endsWith(' leases')).map(([kind, count]) => `${kind} ${count}`);
  row(
    `API writes in ${restMs / 1000} s of rest, ${what}`,
    `${total}${total > 0 ? ` (${kinds.join(', ')})` : ''}, besides ${leases} of the Lease`,
  );
  row(`operator, ${what}`, `${memory(pidOf(operator))}, ${((used / restMs) * 1e5).toFixed(1)} % of one core`);
}

async function untilReady(count: number): Promise<number> {
  for (const endMs = nowMs() + 180_000; nowMs() < endMs; await pause(20)) {
    if (watched.all().filter(isReady).length >= count) return nowMs();
  }
  throw new Error(`${watched.all().filter(isReady).length} of ${count} keys got ready in three minutes`);
}

const world = await openWorld(['platform', ...teams]);
const { cp } = world;
const kube = connectKube({ kubeconfig: cp.adminKubeconfigPath, logger: pino({ level: 'silent' }) });
const watched = createReflector({ client: kube, resource: virtualKeys, scope: {}, onChange() {}, logger: pino({ level: 'silent' }) });
watched.start();
let operator = await world.startOperator();
await operator.ready();
row('operator, empty', memory(pidOf(operator)));
const budgets = budgetObjects(teams);
for (const object of [...poolObjects(), ...budgets]) await cp.apply(object);
await untilReady(budgets.length);

// Keys
let mark = world.audit.mark();
let startMs = nowMs();
let startCpu = cpu();
await eachOf(keys, 8, async ({ team, name }) => {
  await demand(cp.client, 'POST', `/apis/keyforge.dev/v1alpha1/namespaces/${team}/virtualkeys`, agentKey(team, name));
});
const createdMs = nowMs();
const readyMs = await untilReady(keyCount + budgets.length);
row(
  `${keyCount} keys created, until all have their Secret and are Ready`,
  `${seconds(readyMs - startMs)}, of which creating them ${seconds(createdMs - startMs)}; ${(cpu() - startCpu).toFixed(1)} s of the operator's CPU`,
);
await pause(1_000);
const { byKind } = world.audit.writesSince(mark);
row('API writes for them', [...byKind].map(([kind, count]) => `${kind} ${count}`).join(', '));
const { body: secrets } = await demand(cp.client, 'GET', '/api/v1/secrets?labelSelector=app.kubernetes.io/managed-by=keyforge');
const tokens = (secrets.items as readonly { data?: object }[]).filter(({ data = {} }) => 'api-key' in data).length;
if (tokens !== keyCount) throw new Error(`${tokens} token Secrets for ${keyCount} keys`);
await rest(`${keyCount} keys`);

// Pods
const nodes = await startFakeNodes(cp, 20);
const node = (index: number): string => nodes.names[index % nodes.names.length] ?? '';
const plan = (index: number) => {
  const { team, name } = keys[index % keys.length] ?? { team: '', name: '' };
  return { namespace: team, name: `pod-${index}`, node: node(index), key: name };
};
const alone: Record<'injected' | 'plain', number[]> = { injected: [], plain: [] };
for (let index = 0; index < 200; index += 1) {
  const injected = await createPod(cp.client, { ...plan(index), name: `alone-${index}` });
  const plain = await createPod(cp.client, { ...plan(index), name: `plain-${index}`, key: null });
  alone.injected.push(injected.tookMs);
  alone.plain.push(plain.tookMs);
}
row('creating a Pod, one after the other, injected', spread(alone.injected, 1));
row('creating a Pod that did not opt in', spread(alone.plain, 1));
const pods: MadePod[] = [];
const took: number[] = [];
startMs = nowMs();
await eachOf(
  Array.from({ length: podCount }, (_, index) => index),
  8,
  async (index) => {
    const { tookMs, ...pod } = await createPod(cp.client, plan(index));
    pods[index] = pod;
    took.push(tookMs);
  },
);
row(`creating ${podCount} injected Pods, 8 at a time`, `${seconds(nowMs() - startMs)}; each ${spread(took)}`);
const waits = await webhookWaits(cp.client);
row('webhook, as the API server counts (upper bounds of buckets)', `p50 ≤ ${waits.p50} ms, p99 ≤ ${waits.p99} ms (${waits.count})`);
startMs = nowMs();
for (let running = 0; running < podCount && nowMs() - startMs < 180_000; await pause(2_000)) {
  const { body } = await demand(cp.client, 'GET', '/api/v1/pods?fieldSelector=status.phase=Running&limit=1');
  running = (body.items.length as number) + Number(body.metadata.remainingItemCount ?? 0);
  // A field selector leaves no count behind: then the list itself is counted.
  if (body.metadata.continue !== undefined && body.metadata.remainingItemCount === undefined) {
    running = (await demand(cp.client, 'GET', '/api/v1/pods?fieldSelector=status.phase=Running')).body.items.length;
  }
}
await rest(`${keyCount} keys and ${podCount} Pods`);

// Sessions
const served = pods.slice(0, proxyCount);
const ids = served.map((_, id) => id);
const podTokens = await tokensOf(cp, served);
startMs = nowMs();
startCpu = cpu();
const crowd = startCrowd(
  { url: `wss://127.0.0.1:${operator.port}/control`, ca: cp.caPem, proxies: ids.map((id) => ({ id, token: podTokens[id] ?? '' })) },
  2,
  cp.folder,
);
const attachedMs = Math.max(...(await crowd.told('open', ids, startMs)));
row(
  `${proxyCount} proxies attested and served`,
  `${seconds(attachedMs - startMs)}; ${(cpu() - startCpu).toFixed(1)} s of the operator's CPU`,
);
await rest(`${keyCount} keys, ${podCount} Pods, ${proxyCount} sessions`);

async function revocation(): Promise<void> {
  const org = '/apis/keyforge.dev/v1alpha1/namespaces/platform/virtualkeys/org';
  for (const [suspended, state] of [
    [true, 'shut'],
    [false, 'open'],
  ] as const) {
    const sentMs = nowMs();
    startCpu = cpu();
    await demand(cp.client, 'PATCH', org, { spec: { suspended } });
    const answeredMs = nowMs();
    const times = await crowd.told(state, ids, sentMs);
    row(
      `the root key ${suspended ? 'suspended' : 'resumed'}, until each of ${proxyCount} proxies knows`,
      `${spread(times.map((ms) => ms - sentMs))}; the PATCH itself ${(answeredMs - sentMs).toFixed(0)} ms; ${(cpu() - startCpu).toFixed(1)} s of the operator's CPU`,
    );
    await pause(15_000);
  }
  const single: number[] = [];
  for (const id of ids.slice(-Math.min(50, ids.length))) {
    const { team, name } = keys[id % keys.length] ?? { team: '', name: '' };
    const sentMs = nowMs();
    await demand(cp.client, 'DELETE', `/apis/keyforge.dev/v1alpha1/namespaces/${team}/virtualkeys/${name}`);
    const [atMs = Number.NaN] = await crowd.told('shut', [id], sentMs);
    single.push(atMs - sentMs);
  }
  row('a VirtualKey deleted, until its proxy knows, one after the other', spread(single));
}
await revocation();
crowd.close();
await pause(settleMs);

// A restart
mark = world.audit.mark();
await operator.stop();
startMs = nowMs();
operator = await world.startOperator(operator.dataDir);
await operator.ready();
row('restart, until policy is served', seconds(nowMs() - startMs));
await pause(30_000);
const again = world.audit.writesSince(mark);
row('API writes in the 30 s after', `${again.total} (${[...again.byKind].map(([kind, count]) => `${kind} ${count}`).join(', ')})`);

console.log(`\n| | |\n|---|---|\n${rows.map(([what, figure]) => `| ${what} | ${figure} |`).join('\n')}`);
await operator.stop();
await nodes.close();
await watched.close();
await kube.close();
await cp.close();
process.exit(0);
